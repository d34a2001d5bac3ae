"""The token of this machine's own owner, kept in the home for whoever may read it there."""

import os
from pathlib import Path

from limner.home.layout import folder
from limner.ledger import tokens
from limner.ledger.opening import Ledger
from limner.settings import Settings

OWNER = "local"


def local_token(settings: Settings, ledger: Ledger) -> str:
    """Return the token of owner `local`, made where the home has none that this ledger knows."""
    file = token_file(settings.home)
    kept = file.read_text().strip() if file.exists() else ""
    if kept and ledger.run(lambda connection: tokens.owner_of(connection, kept)) == OWNER:
        return kept
    made = ledger.run(lambda connection: tokens.add(connection, OWNER, "this machine"))
    _keep(file, made)
    return made


def token_file(home: Path) -> Path:
    """Return where the token lies."""
    return folder(home.resolve(), "run") / "local.token"


def _keep(file: Path, token: str) -> None:
    """Write the token so that at no moment anybody else can read it."""
    fresh = file.with_name(f"local.{os.getpid()}.new")
    fresh.touch(mode=0o600)
    fresh.write_text(token)
    fresh.replace(file)
