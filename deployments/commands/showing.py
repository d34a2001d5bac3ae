"""`limner demo`: two chapters of two books, ten pictures each, and one contact sheet."""

from pathlib import Path

import typer

from limner.errors import BadInput
from limner.requests import ChapterRequest
from limner.settings import read_settings

SAMPLES = Path(__file__).parents[2] / "samples"


def demo() -> None:
    """Illustrate the first chapter of Alice's Adventures in Wonderland, and Viy, with the offline sketch."""
    from deployments.running import run  # noqa: PLC0415 - heavy

    ran = run(read_settings(), requests(), bar=True, title="Limner's demo")
    for report in ran.reports:
        typer.echo("{batch}: {made} made, {reused} reused, {failed} failed of {asked}.".format(**report))
    for sentence in ran.short:
        typer.echo(sentence, err=True)
    typer.echo(f"Contact sheet: {ran.sheet}")
    raise typer.Exit(1 if ran.short else 0)


def requests() -> list[ChapterRequest]:
    """Return the demo's two requests; raises BadInput where the samples are not beside the code."""
    if not (SAMPLES / "alice.txt").exists():
        raise BadInput("The sample books are not here; run the demo in a clone of Limner (make demo).")
    alice = ChapterRequest(
        book=str(SAMPLES / "alice.txt"),
        title="Alice's Adventures in Wonderland",
        author="Lewis Carroll",
        genre="fantasy",
        language="en",
        provider=("sketch",),
    )
    viy = ChapterRequest(
        book=str(SAMPLES / "viy.txt"),
        title="Вий",
        author="Николай Гоголь",
        genre="horror",
        language="ru",
        provider=("sketch",),
    )
    return [alice, viy]
