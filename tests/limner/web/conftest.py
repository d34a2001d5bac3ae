"""A service to speak to, and an Internet of our own: names, public addresses, and where they really lead."""

import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from limner.web import Web
from tests.standins import serving
from tests.standins.serving import Running


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    calls = tmp_path_factory.mktemp("plain") / "calls.jsonl"
    with serving.running("tests.standins.plain", calls=calls) as standin:
        yield standin


@pytest.fixture
def standin(service: Running) -> Iterator[Running]:
    yield service
    service.fail()


@pytest.fixture
def web(standin: Running) -> Iterator[Web]:
    opened = web_to(standin.url, standin.key, allow_private=True)
    yield opened
    opened.close()


def web_to(url: str, key: str, **more: Any) -> Web:
    told = {"timeout_seconds": 5.0, **more}
    return Web("plain", url, headers={"Authorization": f"Bearer {key}"}, secrets=(key,), **told)


class Internet:
    """What names say, one answer after the other, and which of our servers answers at a public address."""

    def __init__(self) -> None:
        self.names: dict[str, list[tuple[str, ...]]] = {}
        self.servers: dict[str, str] = {}
        self.asked: list[str] = []
        self.connected: list[str] = []
        self._getaddrinfo = socket.getaddrinfo
        self._create_connection = socket.create_connection

    def getaddrinfo(self, host: Any, port: Any, *told: Any, **more: Any) -> list[Any]:
        self.asked.append(host)
        if host not in self.names:
            return list(self._getaddrinfo(host, port, *told, **more))
        answers = self.names[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    def create_connection(self, address: tuple[str, int], *told: Any, **more: Any) -> socket.socket:
        host, port = address
        self.connected.append(host)
        if host in self.servers:
            there = urlsplit(self.servers[host])
            return self._create_connection((there.hostname, there.port), *told, **more)
        if host in self.names:
            return self.create_connection((self.getaddrinfo(host, port)[0][4][0], port), *told, **more)
        if not host.startswith("127."):
            raise OSError(f"{host} is not in this Internet")
        return self._create_connection(address, *told, **more)


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> Internet:
    ours = Internet()
    monkeypatch.setattr(socket, "getaddrinfo", ours.getaddrinfo)
    monkeypatch.setattr(socket, "create_connection", ours.create_connection)
    return ours
