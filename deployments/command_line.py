"""The command line's frame: which commands there are, and what an error becomes.

One sentence on standard error, never a traceback unless asked for (`--traceback`, LIMNER_TRACEBACK). Exit status:
0 done, 1 failed, 2 refused before anything was made, 130 interrupted. Imports no Prefect: its environment must
stand first.
"""

import logging
import os
import sys
from importlib import import_module

import typer
from pydantic import ValidationError

from limner.errors import DiskFull, LimnerError, RefusedRequest, Unreachable

# Modules of deployments/commands with a Typer `app`; each becomes a group of commands by its name.
GROUPS: tuple[str, ...] = ("audit", "chapters", "lineage", "owners", "serve", "tokens", "webhooks")

# Whose log is more than their last words, and set up by themselves.
LONG_LIVED = ("up", "serve")

TRACEBACK = "--traceback"
INTERRUPTED = 130


def build() -> typer.Typer:
    """Return the whole command line."""
    from deployments.commands import numbers, showing, stack, why  # noqa: PLC0415

    line = typer.Typer(
        name="limner",
        help="Turn requests for pictures into pictures that are stored, recorded and never paid for twice.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for name in GROUPS:
        line.add_typer(import_module(f"deployments.commands.{name}").app, name=name)
    ours = (stack.up, stack.down, stack.status, stack.bootstrap, stack.alive, stack.doctor)
    for command in (*ours, why.why, numbers.numbers, showing.demo):
        line.command()(command)
    return line


def main(arguments: list[str] | None = None) -> None:
    """Run one command; ends the process with its exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    traced = TRACEBACK in given or os.environ.get("LIMNER_TRACEBACK", "").lower() in ("1", "true", "yes", "on")
    given = [one for one in given if one != TRACEBACK]
    if given and given[0] not in LONG_LIVED:
        _say_what_we_log()
    try:
        build()(given, prog_name="limner")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:  # the one place where every error becomes a sentence
        if traced:
            raise
        typer.echo(sentence(error), err=True)
        sys.exit(exit_status(error))


def _say_what_we_log() -> None:
    """Print our own warnings, and nobody else's: what Prefect logs of runs is in its UI."""
    sentences = logging.StreamHandler()
    sentences.setLevel(logging.WARNING)
    for ours in ("limner", "deployments", "tasks", "blocks"):
        logging.getLogger(ours).addHandler(sentences)


def sentence(error: Exception) -> str:
    """Return what a person is told: what happened and what to do."""
    if isinstance(error, ValidationError):
        from limner.requests import explain  # noqa: PLC0415

        return str(explain(error))
    if isinstance(error, LimnerError):
        return str(error)
    return f"Limner failed ({type(error).__name__}: {error}); run it again with {TRACEBACK} to see where."


def exit_status(error: Exception) -> int:
    refused = RefusedRequest | Unreachable | DiskFull | ValidationError
    return 2 if isinstance(error, refused) else 1


if __name__ == "__main__":
    main()
