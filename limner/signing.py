"""The signing key: what links and webhooks are signed with, one for all processes of an installation.

Told by LIMNER_SIGNING_KEY, else made once in the home. Each purpose has a key of its own, derived from it, so that
what one signs is worth nothing to another.
"""

import hashlib
import hmac
import secrets
from pathlib import Path

from limner.home.layout import folder
from limner.settings import Settings

KEY_BYTES = 32


def signing_key(settings: Settings) -> bytes:
    """Return the installation's key; raises BadInput or DiskFull where the home cannot keep one."""
    if settings.signing_key is not None:
        return settings.signing_key.get_secret_value().encode()
    file = folder(settings.home.resolve(), "run") / "signing.key"
    if not file.exists():
        _make(file)
    return file.read_bytes()


def derived_key(key: bytes, purpose: str, what: str = "") -> bytes:
    """Return a key of 32 bytes for one purpose, and for one thing within it."""
    return hmac.new(key, f"{purpose}\n{what}".encode(), hashlib.sha256).digest()


def _make(file: Path) -> None:
    """Make the key whole, or leave the one that another process made first."""
    fresh = file.with_name(f"signing.{secrets.token_hex(8)}.new")
    fresh.touch(mode=0o600)
    fresh.write_bytes(secrets.token_hex(KEY_BYTES).encode())
    try:
        file.hardlink_to(fresh)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
