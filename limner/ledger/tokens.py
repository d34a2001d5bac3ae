"""Tokens: what another app shows to speak for an owner. Only a token's sha256 is kept; it is shown once."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, insert, select, update

from limner.errors import BadInput
from limner.ledger.tables import tokens

# A token of ours is known by its beginning wherever it turns up, as scanners for leaked secrets want it.
_PREFIX = "limner_"
_BYTES = 32

# How much of a token's sha256 names it to a person.
_NAME_LETTERS = 12

_OWNER = re.compile(r"[\w.@-]{1,100}")


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token: never itself. id: the beginning of its sha256."""

    id: str
    owner: str
    name: str
    made_at: datetime
    revoked_at: datetime | None


def add(connection: Connection, owner: str, name: str) -> str:
    """Make a token that speaks for an owner; it cannot be shown again. Raises BadInput for what is no owner."""
    if not _OWNER.fullmatch(owner):
        raise BadInput(f"{owner!r} cannot be an owner: give 1 to 100 letters, digits, or any of . @ _ -")
    token = _PREFIX + secrets.token_urlsafe(_BYTES)
    connection.execute(insert(tokens).values(sha256=_sha256(token), owner=owner, name=name))
    return token


def owner_of(connection: Connection, token: str) -> str | None:
    """Return whom a token speaks for; None for one that is unknown or revoked."""
    of_token = select(tokens.c.owner).where(tokens.c.sha256 == _sha256(token), tokens.c.revoked_at.is_(None))
    return connection.execute(of_token).scalar_one_or_none()


def listed(connection: Connection, owner: str | None = None) -> list[Token]:
    """Return every token, or an owner's, the oldest first."""
    asked = select(tokens).order_by(tokens.c.made_at, tokens.c.sha256)
    if owner is not None:
        asked = asked.where(tokens.c.owner == owner)
    return [
        Token(row.sha256[:_NAME_LETTERS], row.owner, row.name, row.made_at, row.revoked_at)
        for row in connection.execute(asked)
    ]


def revoke(connection: Connection, token_id: str) -> None:
    """Take a token back, by the id that the list shows; harmless for one that was. Raises BadInput for no such id."""
    if not re.fullmatch(r"[0-9a-f]{12,64}", token_id):
        raise BadInput(f"{token_id!r} is no token's id; limner tokens list shows them.")
    found = tokens.c.sha256.startswith(token_id)
    taken = update(tokens).where(found).values(revoked_at=func.coalesce(tokens.c.revoked_at, func.now()))
    if not connection.execute(taken).rowcount:
        raise BadInput(f"There is no token {token_id}; limner tokens list shows them.")


def _sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
