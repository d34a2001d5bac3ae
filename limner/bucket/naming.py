"""What a bucket key may be, the same for every bucket. Knows nothing of folders or networks."""

from limner.errors import BadInput

MAX_KEY_BYTES = 1024
# What a file system takes as one name.
MAX_PART_BYTES = 200


def checked_key(key: str) -> str:
    """Return `key` as it came, or raise BadInput: relative, parts joined by `/`, none empty or hidden."""
    parts = key.split("/")
    if not all(_is_name(part) for part in parts) or not _is_plain(key):
        raise BadInput(
            f"{key!r} is no bucket key; give a relative path with `/` between its parts, like images/ab/abc.png."
        )
    return key


def checked_prefix(prefix: str) -> str:
    """Return `prefix` as it came, or raise BadInput; the last part may be unfinished or empty."""
    if prefix:
        checked_key(prefix + "_" if prefix.endswith("/") else prefix)
    return prefix


def _is_name(part: str) -> bool:
    # A leading dot would hide a file, lead out (`..`), or meet what a bucket keeps for itself.
    return part != "" and not part.startswith(".") and len(part.encode()) <= MAX_PART_BYTES


def _is_plain(key: str) -> bool:
    # A backslash would be one character on one system and a separator on another.
    return len(key.encode()) <= MAX_KEY_BYTES and not any(sign < " " or sign in "\\\x7f" for sign in key)
