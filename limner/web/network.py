"""Connections to strangers: which addresses may be reached, and one deadline over everything a call does.

Knows sockets and nothing of HTTP, providers or errors of ours. An address is checked after its name was resolved, and
the very address that was checked is the one connected to, so that a name cannot change its mind in between. TLS is
verified against the name all the same.
"""

import ipaddress
import math
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import httpcore
import httpx

# Wraps an IPv4 address, as 6to4 and IPv4-mapped addresses do.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# The only part of IPv6 that services of the open Internet have their addresses from.
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")

# Where clouds keep what only their machines may ask, besides link-local addresses; one of them looks global, two
# private. Nobody's own server is there.
_METADATA = tuple(
    map(ipaddress.ip_network, ("192.0.0.0/24", "168.63.129.16/32", "100.100.100.200/32", "fd00:ec2::254/128"))
)
# Of this machine, of private networks, and of carriers and VPNs between them.
_PRIVATE = tuple(
    map(
        ipaddress.ip_network,
        ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7"),
    )
)

# A body goes out in pieces of this size, so that a reader who takes little at a time meets the deadline.
_PIECE = 64 * 1024

# How often a call that may be stopped looks whether it is.
_LOOK_SECONDS = 0.2

_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)
_stop: ContextVar[threading.Event | None] = ContextVar("stop", default=None)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ForbiddenAddress(Exception):
    """A host that is, or resolves to, an address which no service of the open Internet has."""


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Let nothing that this thread sends or receives meanwhile outlast `seconds`, the slowest trickle included.

    An earlier deadline around it stays.
    """
    outer = _deadline.get()
    ours = time.monotonic() + seconds
    token = _deadline.set(ours if outer is None else min(outer, ours))
    try:
        yield
    finally:
        _deadline.reset(token)


@contextmanager
def stopped_by(stop: threading.Event) -> Iterator[None]:
    """Break off what this thread waits to receive once `stop` is set, so that the other side sees us gone."""
    token = _stop.set(stop)
    try:
        yield
    finally:
        _stop.reset(token)


def seconds_left() -> float | None:
    """Return how long until the deadline, 0.0 at least; None where there is none."""
    until = _deadline.get()
    return None if until is None else max(0.0, until - time.monotonic())


def is_public(address: str) -> bool:
    """Say whether an IP address may belong to a service of the open Internet."""
    ip = _unwrapped(ipaddress.ip_address(address.partition("%")[0]))
    if isinstance(ip, ipaddress.IPv6Address):
        return ip.is_global and ip in _GLOBAL_UNICAST
    return ip.is_global and not ip.is_multicast and not _is_in(ip, _METADATA)


def is_private(address: str) -> bool:
    """Say whether an IP address may belong to a server of one's own: on this machine, or in a private network."""
    ip = _unwrapped(ipaddress.ip_address(address.partition("%")[0]))
    return _is_in(ip, _PRIVATE) and not _is_in(ip, _METADATA)


def is_forbidden(host: str, *, allow_private: bool) -> bool:
    """Say whether a host is written as an address that must not be asked; a name is looked up when it is asked."""
    try:
        return not (is_public(host) or (allow_private and is_private(host)))
    except ValueError:
        return False


def check_host(host: str, port: int, *, allow_private: bool = False) -> list[str]:
    """Return the addresses of a host, all of them public, or private where that is allowed.

    Raises ForbiddenAddress, or OSError where there is none.
    """
    found = _addresses(host, port)
    for address in found:
        if is_forbidden(address, allow_private=allow_private):
            raise ForbiddenAddress(f"{host} is {address}, which is no address of the open Internet")
    return found


def guard(client: httpx.Client, *, allow_private: bool) -> httpx.Client:
    """Make a client keep to the deadline and, where it connects by itself, to the addresses that `check_host` allows.

    Through a proxy it is the proxy that connects: there only the deadline holds, and `check_host` has to be asked.
    """
    direct, proxied = _Backend(partial(check_host, allow_private=allow_private)), _Backend(_addresses)
    for transport in (client._transport, *client._mounts.values()):
        if transport is None:
            continue
        # What cannot be guarded is not used: an unguarded connection would look the same.
        if not isinstance(transport, httpx.HTTPTransport) or not hasattr(transport._pool, "_network_backend"):
            raise TypeError(f"cannot guard the connections of {type(transport).__name__}")
        is_direct = type(transport._pool) is httpcore.ConnectionPool
        transport._pool._network_backend = direct if is_direct else proxied
    return client


def _unwrapped(ip: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, where it does."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip


def _is_in(ip: Address, networks: tuple[Network, ...]) -> bool:
    return any(ip in network for network in networks)


def _addresses(host: str, port: int) -> list[str]:
    """Return a host's addresses, each once; raises OSError where there is none in time."""
    found: list[str] = []
    failed: list[Exception] = []

    def look() -> None:
        try:
            told = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError, OverflowError) as error:  # a name too long for DNS, a port that is none
            failed.append(error)
        else:
            found.extend(dict.fromkeys(str(one[4][0]) for one in told))

    # In a thread of its own, because looking a name up knows no timeout.
    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    looking.join(seconds_left())
    if failed or not found:
        raise OSError(str(failed[0]) if failed else f"{host} was not found in time")
    return found


class _Backend(httpcore.NetworkBackend):
    """Connects like httpcore's own, to the addresses that `look_up` finds for a host and its port."""

    def __init__(self, look_up: Callable[[str, int], list[str]]) -> None:
        self._look_up = look_up
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        options = None if socket_options is None else list(socket_options)
        error: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in self._resolved(host, port):
            within = _within(timeout, httpcore.ConnectTimeout)
            try:
                return _Stream(self._plain.connect_tcp(address, port, within, local_address, options))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as one:
                error = one
        raise error

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ARG002 - the signature is httpcore's
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        raise ForbiddenAddress(f"{path} is a socket of this machine")

    def _resolved(self, host: str, port: int) -> list[str]:
        try:
            return self._look_up(host, port)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error


class _Stream(httpcore.NetworkStream):
    """A connection on which nothing outlasts the deadline of the call that uses it."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        stop = _stop.get()
        if stop is None:
            return self._stream.read(max_bytes, _within(timeout, httpcore.ReadTimeout))
        until = math.inf if timeout is None else time.monotonic() + timeout
        while not stop.is_set():
            left = _within(max(0.0, until - time.monotonic()), httpcore.ReadTimeout) or 0.0
            try:
                return self._stream.read(max_bytes, min(left, _LOOK_SECONDS))
            except httpcore.ReadTimeout:
                if left <= _LOOK_SECONDS:
                    raise
        raise httpcore.ReadError("nobody waits for it any more")

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for at in range(0, len(buffer), _PIECE):
            self._stream.write(buffer[at : at + _PIECE], _within(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        within = _within(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, within))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _within(timeout: float | None, late: type[httpcore.TimeoutException]) -> float | None:
    """Return the timeout, cut to the deadline; raises `late` where that has passed."""
    left = seconds_left()
    if left is None:
        return timeout
    if left <= 0:
        raise late("the call took too long")
    return left if timeout is None else min(timeout, left)
