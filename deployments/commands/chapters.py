"""`limner chapters illustrate`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from limner.requests import BookRequest, ChapterRequest, IllustrationRequest
from limner.settings import read_settings

if TYPE_CHECKING:
    from limner.jobs import Order
    from limner.pricing import Estimate

app = typer.Typer(help="Chapters of books.", no_args_is_help=True)


@app.callback()
def chapters() -> None:
    """Illustrate books."""


@app.command()
def illustrate(
    book: Annotated[str, typer.Argument(help="A plain-text book.", show_default=False)],
    chapter: Annotated[int | None, typer.Option(min=1, help="Which chapter.  [1]")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every chapter, as one batch.")] = False,
    title: Annotated[str, typer.Option(help="Of the book; its file's name where empty.")] = "",
    author: Annotated[str, typer.Option()] = "",
    genre: Annotated[str, typer.Option(help="fantasy, detective, historical, horror, ...")] = "other",
    language: Annotated[str, typer.Option(help="auto, en, ru or uk.")] = "auto",
    descriptions: Annotated[Path | None, typer.Option(help="Your own, as JSON or YAML.")] = None,
    only: Annotated[str | None, typer.Option(help="One description, by its id.")] = None,
    limit: Annotated[int, typer.Option(help="Pictures a chapter, the best first.")] = 10,
    min_priority: Annotated[int, typer.Option(help="0 to 100.")] = 70,
    owner: Annotated[str, typer.Option(help="Who asks.")] = "local",
    provider: Annotated[str, typer.Option(help="NAME[,NAME]: asked in turn.")] = "",
    model: Annotated[str | None, typer.Option(help="Of the provider.")] = None,
    style_modifier: Annotated[list[str] | None, typer.Option(help="Added to each prompt; may be repeated.")] = None,
    negative_prompt: Annotated[str, typer.Option(help="What must not be seen.")] = "",
    aspect_ratio: Annotated[str | None, typer.Option(help="W:H, like 16:9.")] = None,
    high_quality: Annotated[bool, typer.Option("--high-quality", help="50 steps, guidance + 1.")] = False,
    max_usd: Annotated[float | None, typer.Option(help="What the batch may cost.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Make anew what exists.")] = False,
    reuse: Annotated[str, typer.Option(help="same, or similar: quality words do not count.")] = "same",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be made, and make nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Illustrate one chapter of a book (or all of it), the most telling descriptions first."""
    asked: dict[str, object] = {
        "book": str(Path(book).absolute()),
        "title": title,
        "author": author,
        "genre": genre,
        "language": language,
        "descriptions_file": "" if descriptions is None else str(descriptions.absolute()),
        "only": only,
        "limit": limit,
        "min_priority": min_priority,
        "owner": owner,
        "provider": tuple(name.strip() for name in provider.split(",") if name.strip()),
        "model": model,
        "style_modifiers": tuple(style_modifier or ()),
        "negative_prompt": negative_prompt,
        "aspect_ratio": aspect_ratio,
        "high_quality": high_quality,
        "max_usd": max_usd,
        "force": force,
        "reuse": reuse,
    }
    request = _request(asked, chapter, every)
    if dry_run:
        show_plan(request, as_json)
        return
    raise typer.Exit(make(request, as_json))


def make(request: IllustrationRequest, as_json: bool) -> int:
    """Run the flow, print what came of it; return the exit status."""
    from deployments.running import run  # noqa: PLC0415 - heavy

    ran = run(read_settings(), [request], bar=not as_json)
    report = ran.reports[0]
    if as_json:
        typer.echo(json.dumps(report, ensure_ascii=False))
    else:
        said = "{made} made, {reused} reused, {failed} failed of {asked} in {seconds} s, for ${spend_usd:.2f}."
        typer.echo(said.format(**report))
        typer.echo(f"Batch {report['batch']}; limner lineage show {report['batch']} tells its story.")
        if ran.sheet is not None:
            typer.echo(f"Contact sheet: {ran.sheet}")
    for sentence in (*ran.notes, *ran.short):
        typer.echo(sentence, err=True)
    return 1 if ran.short else 0


def show_plan(request: IllustrationRequest, as_json: bool) -> None:
    """Print what would be made, and what each provider would take for it; opens no ledger, bucket or provider."""
    from limner.illustrating import plan_illustrations  # noqa: PLC0415
    from limner.jobs import derive_seed  # noqa: PLC0415

    plan = plan_illustrations(request.pinned())
    estimates = _estimates(request, [job.order for job in plan.jobs])
    shown = [
        {
            "key": job.key,
            "type": job.subject,
            "width": job.order.width,
            "height": job.order.height,
            "steps": job.order.steps,
            "guidance": job.order.guidance,
            "seed": derive_seed(job.order.session, job.key, 1),
            "prompt": job.order.prompt,
            "negative_prompt": job.order.negative_prompt,
        }
        for job in plan.jobs
    ]
    if as_json:
        head = {"kind": plan.kind, "title": plan.title, "asked": len(shown), "providers": list(plan.chain)}
        head |= {"estimate_usd": {name: one.usd for name, one in estimates.items()}}
        head |= {"cannot": {name: one.why_not for name, one in estimates.items() if one.why_not}}
        typer.echo(json.dumps(head | {"notes": list(plan.notes), "pictures": shown}, ensure_ascii=False))
        return
    typer.echo(f"{plan.title}: {len(shown)} pictures, asked of {', '.join(plan.chain) or 'the studio'}.")
    for name, one in estimates.items():
        rest = f" The others it cannot make: {one.why_not}." if one.why_not else ""
        typer.echo(f"Estimate, {one.pictures} by {name}: ${one.usd:.4f} at most.{rest}")
    for picture in shown:
        typer.echo("\n{key} ({type}, {width}x{height}, seed {seed})\n  {prompt}".format(**picture))
    for note in plan.notes:
        typer.echo(f"\n{note}")


def _estimates(request: IllustrationRequest, orders: "Sequence[Order]") -> "dict[str, Estimate]":
    """Return what each provider that would be asked takes for the pictures; raises RefusedRequest.

    Knows those of the environment; blocks are looked up when a flow runs.
    """
    from limner.errors import BadInput, UnknownProvider  # noqa: PLC0415
    from limner.fitting import no_such_model  # noqa: PLC0415
    from limner.pricing import by_provider  # noqa: PLC0415
    from limner.providers.opening import open_provider, wirings_of  # noqa: PLC0415

    known = wirings_of(read_settings())
    for name in request.provider:
        if name not in known:
            raise UnknownProvider(
                f"There is no provider {name!r} in this environment; it has {', '.join(known)}. "
                "Name one of these, or configure it (limner doctor says how)."
            )
    asked = {name: open_provider(known[name], 1) for name in request.provider or known}
    if (fault := no_such_model(asked, request.model)) is not None:
        raise BadInput(fault)
    return by_provider(asked, orders, request.model)


def _request(asked: dict[str, object], chapter: int | None, every: bool) -> IllustrationRequest:
    if every and chapter is not None:
        raise typer.BadParameter("give --chapter or --all, not both")
    if every:
        return BookRequest.model_validate(asked)
    return ChapterRequest.model_validate(asked | {"chapter": chapter or 1})
