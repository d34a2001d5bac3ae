"""Requests of apps: asked, looked at, waited for, answered, cancelled. Nobody sees those of another owner."""

import re
from collections.abc import Mapping
from functools import partial
from itertools import islice
from typing import Any, TypeVar
from uuid import UUID

from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterIdempotencyKey
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound
from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from deployments.gateway import standing
from deployments.gateway.answering import Refusal
from deployments.gateway.bodies import json_of
from deployments.gateway.desk import Desk, desk_of
from deployments.gateway.kinds import AWAITED, KINDS, QUEUES
from deployments.gateway.standing import Seen
from deployments.gateway.watching import Watch
from limner.bucket.uploads import keep
from limner.ledger import replies, reports
from limner.reading.descriptions_file import MAX_FILE_BYTES
from limner.requests import PINS, IllustrationRequest, faults
from limner.uploads import FILES, upload_of

# Descriptions that a file may hold, and as much again for how JSON writes them.
MAX_BODY_BYTES = 2 * MAX_FILE_BYTES

# Prefect takes parameters of 512 KB, and gives them back with every look at a run; descriptions beyond this go by the
# bucket.
INLINE_BYTES = 32 * 1024

# The longest that an answer is held back.
MAX_WAIT_SECONDS = 60.0

# Of so many fields is said what is wrong with them.
MAX_FAULTS = 50

Model = TypeVar("Model", bound=BaseModel)

_KEY = re.compile(r"[!-~]{1,200}")


class _Asked(BaseModel):
    """What an app sends: never how or where its run works."""

    model_config = ConfigDict(extra="forbid")

    kind: str
    request: dict[str, Any]
    interactive: bool | None = None


async def submit(request: Request) -> Response:
    """Ask for pictures: 201 with the request's id, 200 where the same was asked with this key before."""
    desk = desk_of(request)
    owner = await desk.owner_of(request)
    key = request.headers.get("idempotency-key", "")
    if not _KEY.fullmatch(key):
        raise Refusal(422, "Name the request by a header Idempotency-Key: 1 to 200 letters, digits or signs.")
    asked = await _validated(_Asked, await json_of(request, MAX_BODY_BYTES))
    wanted = await _wanted(desk, owner, asked)
    run, is_new = await _run_of(desk, owner, asked, wanted, key)
    if is_new:
        return _told(desk, standing.seen(run, None), 201)
    return _told(desk, (await standing.look(desk, [str(run.id)]))[str(run.id)])


async def show(request: Request) -> Response:
    """Say how a request stands; with `wait`, once it has ended or differs from If-None-Match, or the time is over."""
    desk = desk_of(request)
    seen = await _seen(request)
    known = request.headers.get("if-none-match", "").strip('"')
    if (seconds := _wait_seconds(request)) and not _is_news(seen, known):
        watch: Watch = request.app.state.watch
        seen = await watch.until(str(seen.run.id), partial(_is_news, known=known), seconds) or seen
    if known == seen.mark:
        return Response(status_code=304, headers={"ETag": f'"{seen.mark}"'})
    return _told(desk, seen)


async def reply(request: Request) -> Response:
    """Answer with the pictures so far, each with its link; `complete` says whether all of them are there."""
    desk, seen = desk_of(request), await _seen(request)
    said = _said(desk, seen)
    if seen.batch is None:
        return JSONResponse(said | {"complete": False, "spend_usd": 0.0, "errors": {}, "pictures": []})
    told = await desk.look(partial(_report, seen.batch.batch))
    return JSONResponse(await run_in_threadpool(lambda: said | _listed(desk, seen, *told)))


async def cancel(request: Request) -> Response:
    """Stop a request: what is made is kept, what is missing is not asked for any more. Again is harmless."""
    desk, seen = desk_of(request), await _seen(request)
    if seen.has_ended:
        return _told(desk, seen)
    # Where its process has died there is nobody to end, and Prefect does not let it be cancelling.
    wanted = StateType.CANCELLED if seen.has_crashed else StateType.CANCELLING
    await desk.ask(desk.prefect.set_flow_run_state(seen.run.id, State(type=wanted)))
    return _told(desk, await _seen(request), 202)


# -- what is wanted ------------------------------------------------------------------------------------------------


async def _wanted(desk: Desk, owner: str, asked: _Asked) -> IllustrationRequest:
    """Return the request as its run will get it: the owner's, with files that lie in the bucket; raises Refusal."""
    model = KINDS.get(asked.kind)
    if model is None:
        raise Refusal(422, f"There is no kind {asked.kind[:100]!r}; ask for one of {', '.join(KINDS)}.")
    if asked.request.get("owner", owner) != owner:
        raise Refusal(403, f"This token speaks for {owner} alone; leave the owner out.")
    if filled := [name for name in PINS if name in asked.request]:
        raise Refusal(422, f"{filled[0]} is filled in by the run; leave it out.", {filled[0]: "Leave it out."})
    wanted = await _validated(model, asked.request | {"owner": owner}, "request")
    for field in FILES:
        await _refuse_unless_uploaded(desk, owner, field, getattr(wanted, field))
    return await _small_enough(desk, wanted)


async def _refuse_unless_uploaded(desk: Desk, owner: str, field: str, path: str) -> None:
    """Raise Refusal for any file that is not an upload of this owner: paths of this machine are nobody's to read."""
    if not path:
        return
    upload = upload_of(path)
    is_theirs = upload is not None and upload.belongs_to(owner)
    if upload is None or not is_theirs or not await run_in_threadpool(desk.bucket.exists, upload.key):
        sentence = "Upload the file first (PUT /v1/uploads), and give what that returns."
        raise Refusal(422, f"request.{field}: {sentence}", {f"request.{field}": sentence})


async def _small_enough(desk: Desk, wanted: IllustrationRequest) -> IllustrationRequest:
    """Return the request with many descriptions as an upload of their own."""
    if wanted.descriptions is None or len(wanted.model_dump_json().encode()) <= INLINE_BYTES:
        return wanted
    listed = wanted.model_dump_json(include={"descriptions"}).encode()
    if len(listed) > MAX_FILE_BYTES:
        raise Refusal(413, f"The descriptions are larger than {MAX_FILE_BYTES // 2**20} MiB; ask in parts.")
    file = await run_in_threadpool(keep, desk.bucket, wanted.owner, listed, "descriptions.json")
    return wanted.model_copy(update={"descriptions": None, "descriptions_file": file})


async def _validated(model: type[Model], given: Any, within: str = "") -> Model:
    """Return what was given as a model; raises Refusal with a sentence for each field that is wrong."""
    try:
        # In a thread: what is sent to be wrong in a million fields holds nobody else up.
        return await run_in_threadpool(model.model_validate, given)
    except ValidationError as error:
        some = islice(faults(error), MAX_FAULTS)
        found = {".".join(filter(None, (within, where))): said for where, said in some}
        sentence = "; ".join(f"{where}: {said}" if where else said for where, said in list(found.items())[:5])
        raise Refusal(422, f"{sentence}.", found) from None


# -- its run -------------------------------------------------------------------------------------------------------


async def _run_of(desk: Desk, owner: str, asked: _Asked, wanted: IllustrationRequest, key: str) -> tuple[FlowRun, bool]:
    """Return the flow run of an owner's key, and whether it is new; raises Refusal where the key was another's."""
    # An owner's name has no colon: no key of one can be that of another.
    keys = {kind: f"{owner}:{kind}:{key}" for kind in KINDS}
    of_key = FlowRunFilter(idempotency_key=FlowRunFilterIdempotencyKey(any_=list(keys.values())))
    known = await desk.ask(desk.prefect.read_flow_runs(flow_run_filter=of_key, limit=1))
    run = known[0] if known else await _started(desk, asked, wanted, keys[asked.kind])
    if run.idempotency_key != keys[asked.kind] or not _is_same(wanted, run):
        raise Refusal(409, "Another request was made with this Idempotency-Key; choose a new key.")
    return run, not known


async def _started(desk: Desk, asked: _Asked, wanted: IllustrationRequest, key: str) -> FlowRun:
    try:
        deployment = await desk.ask(desk.prefect.read_deployment_by_name(f"{asked.kind}/{asked.kind}"))
    except ObjectNotFound:
        raise Refusal(503, f"{asked.kind} is not deployed here yet; try again later.") from None
    return await desk.ask(
        desk.prefect.create_flow_run_from_deployment(
            deployment.id,
            parameters={"request": wanted.model_dump(mode="json", exclude=set(PINS), exclude_none=True)},
            idempotency_key=key,
            work_queue_name=QUEUES[asked.kind in AWAITED if asked.interactive is None else asked.interactive],
            tags=[f"owner:{wanted.owner}"],
        )
    )


def _is_same(wanted: IllustrationRequest, run: FlowRun) -> bool:
    try:
        before = type(wanted).model_validate(run.parameters.get("request"))
    except ValidationError:
        return False
    return before.pinned().hash() == wanted.pinned().hash()


# -- what is told --------------------------------------------------------------------------------------------------


async def _seen(request: Request) -> Seen:
    """Return how the request named in the path stands; raises Refusal for one of another owner as for none."""
    desk = desk_of(request)
    owner = await desk.owner_of(request)
    try:
        request_id = str(UUID(request.path_params["id"]))
    except ValueError:
        raise _nothing() from None
    seen = (await standing.look(desk, [request_id])).get(request_id)
    if seen is None or seen.owner != owner or (seen.batch is not None and seen.batch.owner != owner):
        raise _nothing()
    return seen


def _nothing() -> Refusal:
    return Refusal(404, "There is no such request.")


def _wait_seconds(request: Request) -> float:
    given = request.query_params.get("wait", "0")
    if not re.fullmatch(r"\d{1,4}(\.\d{1,3})?", given):
        raise Refusal(422, "wait: give seconds, like 30.", {"wait": "Give seconds, like 30."})
    return min(float(given), MAX_WAIT_SECONDS)


def _is_news(seen: Seen, known: str) -> bool:
    return seen.mark != known if known else seen.has_ended


def _told(desk: Desk, seen: Seen, status: int = 200) -> Response:
    return JSONResponse(_said(desk, seen), status, {"ETag": f'"{seen.mark}"', "Cache-Control": "no-store"})


def _said(desk: Desk, seen: Seen) -> dict[str, Any]:
    here = f"{desk.links.gateway_url}/v1/requests/{seen.run.id}"
    batch = seen.batch
    return {
        "id": str(seen.run.id),
        "state": seen.state,
        "why": seen.why,
        "batch": batch.batch if batch else None,
        "title": batch.title if batch else None,
        "counts": {"asked": batch.asked, "made": batch.made, "reused": batch.reused, "failed": batch.failed}
        if batch
        else None,
        "links": {"self": here, "reply": f"{here}/reply", "sheet": desk.links.sheet(batch.batch) if batch else None},
    }


def _report(batch: str, connection: Connection) -> tuple[list[Any], Mapping[str, str], reports.Counts]:
    return replies.pictures(connection, batch), reports.errors(connection, batch), reports.counts(connection, batch)


def _listed(
    desk: Desk, seen: Seen, rows: list[Any], errors: Mapping[str, str], counts: reports.Counts
) -> dict[str, Any]:
    return {
        "complete": seen.state == "complete",
        "spend_usd": counts.spend_usd,
        "errors": dict(errors),
        "pictures": [_picture(desk, row) for row in rows],
    }


def _picture(desk: Desk, row: Any) -> dict[str, Any]:
    said = dict(row._mapping)
    about, artifact = said.pop("about"), said.pop("artifact")
    words = about.get("original") or about.get("description") or ""
    link, small = desk.links.picture(row.sha256, artifact), desk.links.thumbnail(row.sha256)
    return said | {"words": words, "link": link, "thumbnail": small}
