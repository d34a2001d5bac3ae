"""The body of an answer, held to a size: an error's is cut there, any other's is refused.

Knows no service and no error of ours.
"""

from collections.abc import Iterator
from typing import Any

import httpx

# An error that says more than this is cut; what a service adds is its upstream's page.
MAX_ERROR_BYTES = 64 * 1024


class TooLarge(Exception):
    """A body that is larger than anything we asked for, or that could swell to it."""


def cap(response: httpx.Response, max_bytes: int) -> None:
    """Hold a body to its size before the first byte of it is read; raises TooLarge, then or while it is read."""
    is_packed = response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity")
    if response.is_error:
        # Its status says enough; whoever packed it did so unasked.
        response.headers.pop("content-encoding", None)
        response.stream = _Cut(response.stream, 0 if is_packed else MAX_ERROR_BYTES)
        return
    if is_packed:
        raise TooLarge("sent a compressed answer that was not asked for")
    told = response.headers.get("content-length", "")
    if told.isdecimal() and int(told) > max_bytes:
        raise _too_large(max_bytes)
    response.stream = _Capped(response.stream, max_bytes)


class _Capped(httpx.SyncByteStream):
    """A body up to a size; one more byte is refused."""

    def __init__(self, stream: Any, max_bytes: int) -> None:
        self._stream = stream
        self._max_bytes = max_bytes

    def __iter__(self) -> Iterator[bytes]:
        seen = 0
        for chunk in self._stream:
            seen += len(chunk)
            if seen > self._max_bytes:
                raise _too_large(self._max_bytes)
            yield chunk

    def close(self) -> None:
        self._stream.close()


class _Cut(_Capped):
    """An error's body as far as it is of use; where it breaks off, as far as it came."""

    def __iter__(self) -> Iterator[bytes]:
        left = self._max_bytes
        try:
            for chunk in self._stream if left else ():
                yield chunk[:left]
                left -= len(chunk)
                if left <= 0:
                    return
        except httpx.TransportError:
            return


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"sent more than {max_bytes:,} bytes")
