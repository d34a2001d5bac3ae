"""`limner why`."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limner.settings import read_settings

if TYPE_CHECKING:
    from deployments.why import Answer


def why(
    which: Annotated[str, typer.Argument(metavar="BATCH", help="A batch's name, or a flow run's id or name.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what a batch waits for, or how far it is."""
    from deployments.why import ask  # noqa: PLC0415 - heavy

    answer = ask(read_settings(), which.strip())
    typer.echo(json.dumps(_plain(answer), ensure_ascii=False, default=str) if as_json else "\n".join(answer.sentences))


def _plain(answer: "Answer") -> dict[str, Any]:
    standing = answer.standing
    ledger = {} if standing is None else asdict(standing)
    batch = ledger.pop("batch", {})
    return {
        "batch": batch.get("id"),
        "status": batch.get("status"),
        "sentences": answer.sentences,
        "ledger": ledger,
        "flow_runs": [asdict(run) for run in answer.flow_runs],
    }
