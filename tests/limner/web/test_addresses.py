"""Which addresses may be reached: only those of the open Internet, whatever they are called and at every hop."""

import socket
import threading
from typing import Any

import httpx
import pytest

from limner.errors import Broken, Invalid
from limner.web import ForbiddenAddress, Web
from limner.web.network import check_host, deadline, guard, is_public, seconds_left
from tests.limner.web.conftest import Internet, web_to
from tests.standins.serving import METADATA, Running

PUBLIC = "93.184.216.34"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",  # noqa: S104 - refused, not bound
        "10.0.0.8",
        "172.16.4.4",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "198.18.0.1",
        "192.0.0.192",
        "168.63.129.16",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0:7f00:1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::",
        "2002:c0a8:101::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:db8::1",
        "100::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_an_address_that_no_service_of_the_internet_has_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [PUBLIC, "1.1.1.1", "2001:4860:4860::8888", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1"],
)
def test_an_address_of_the_internet_is_public_also_where_it_is_wrapped(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "10.0.0.8", "172.31.0.1", "192.168.1.1", "100.64.0.1", "fd00::1", "::ffff:10.0.0.1"]
)
def test_an_address_of_ones_own_house_is_reached_only_where_that_is_allowed(address: str) -> None:
    assert check_host(address, 80, allow_private=True) == [address]
    with pytest.raises(ForbiddenAddress):
        check_host(address, 80)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fe80::1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "0.0.0.0",  # noqa: S104 - refused, not bound
        "224.0.0.1",
        "240.0.0.1",
    ],
)
def test_what_a_cloud_tells_its_own_machines_is_never_reached(address: str) -> None:
    with pytest.raises(ForbiddenAddress):
        check_host(address, 80, allow_private=True)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "127.1",
        "0",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "0xa9fea9fe",
    ],
)
def test_no_way_of_writing_an_address_gets_past_the_check(host: str) -> None:
    with pytest.raises(ForbiddenAddress, match="no address of the open Internet"):
        check_host(host, 80)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:7f00:1]"])
def test_nothing_is_sent_to_this_machine_unless_it_is_allowed(standin: Running, host: str) -> None:
    before = standin.counts()["calls"]
    port = httpx.URL(standin.url).port
    web = web_to(f"http://{host}:{port}", standin.key)
    with pytest.raises(Invalid, match=r"nothing was sent there\. Set LIMNER_ALLOW_PRIVATE_ADDRESSES=true"):
        web.send("POST", "/orders", submits=True)
    web.close()
    assert standin.counts()["calls"] == before


def test_a_name_with_one_private_address_among_its_public_ones_is_refused(internet: Internet) -> None:
    internet.names["service.example"] = [(PUBLIC, "10.0.0.8")]
    with pytest.raises(ForbiddenAddress, match=r"service\.example is 10\.0\.0\.8"):
        check_host("service.example", 443)


def test_the_address_that_was_checked_is_the_one_connected_to(standin: Running, internet: Internet) -> None:
    internet.names["rebinding.example"] = [(PUBLIC,), ("127.0.0.1",)]
    internet.servers[PUBLIC] = standin.url
    web = web_to(f"http://rebinding.example:{httpx.URL(standin.url).port}", standin.key)
    assert web.send("POST", "/orders", submits=True).status == 201
    web.close()
    assert internet.connected == [PUBLIC]
    assert internet.asked.count("rebinding.example") == 1


def test_the_next_address_of_a_name_is_tried_when_the_first_does_not_answer(
    standin: Running, internet: Internet
) -> None:
    internet.names["service.example"] = [("1.1.1.1", PUBLIC)]
    internet.servers[PUBLIC] = standin.url
    web = web_to("http://service.example", standin.key)
    assert web.send("POST", "/orders", submits=True).status == 201
    web.close()
    assert internet.connected == ["1.1.1.1", PUBLIC]


@pytest.mark.parametrize(
    "onward",
    [
        METADATA,
        "http://127.0.0.1:{port}/files/picture.jpg",
        "http://[::ffff:169.254.169.254]/",
        "http://hidden.example/",
    ],
)
def test_a_redirect_from_the_internet_into_a_house_is_refused(
    standin: Running, internet: Internet, onward: str
) -> None:
    internet.names |= {"files.example": [(PUBLIC,)], "hidden.example": [("192.168.1.1",)]}
    internet.servers[PUBLIC] = standin.url
    web = web_to("https://service.example", standin.key)
    files, to = standin.counts()["file"], onward.format(port=httpx.URL(standin.url).port)
    internet.connected.clear()
    with pytest.raises(Broken, match="nothing was sent there"):
        web.download(f"http://files.example/onward?to=http://files.example/onward?to={to}")
    web.close()
    assert internet.connected == [PUBLIC], "the second hop goes over the first's connection, the third nowhere"
    assert standin.counts()["file"] == files


def test_a_redirect_within_the_internet_is_followed(standin: Running, internet: Internet) -> None:
    internet.names |= {"files.example": [(PUBLIC,)], "mirror.example": [("1.1.1.1",)]}
    internet.servers |= {PUBLIC: standin.url, "1.1.1.1": standin.url}
    web = web_to("https://service.example", standin.key)
    assert web.download("http://files.example/onward?to=http://mirror.example/files/picture.jpg").is_fine
    web.close()


def test_an_order_is_never_carried_on_by_a_redirect(web: Web, standin: Running) -> None:
    standin.fail({"what": "redirect", "location": f"{standin.url}/orders"})
    before = standin.counts()["calls"]
    assert web.send("POST", "/orders", submits=True).status == 302
    assert standin.counts()["calls"] - before == 1


@pytest.mark.parametrize(
    "url",
    [
        "data:image/png;base64,iVBORw0KGgo=",
        "file:///etc/passwd",
        "ftp://files.example/a.png",
        "/files/picture.jpg",
        "",
        "http://[",
        "http://" + "a" * 70 + ".example/",
        "http://127.0.0.1:99999/",
        "http://\udcff/",
    ],
)
def test_an_address_that_is_none_is_broken_and_nothing_else(web: Web, standin: Running, url: str) -> None:
    before = standin.counts()["calls"]
    with pytest.raises(Broken):
        web.download(url)
    assert standin.counts()["calls"] == before


def test_who_is_sent_round_in_a_circle_gives_up(web: Web, standin: Running) -> None:
    before = standin.counts()["calls"]
    with pytest.raises(Broken, match="sent us on more than 3 times"):
        web.download(f"{standin.url}/onward?to=")
    assert standin.counts()["calls"] - before == 4


def test_looking_a_name_up_ends_with_the_calls_time(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def slow(*_told: Any, **_more: Any) -> list[Any]:
        over.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    web = web_to("https://service.example", "sk_x", timeout_seconds=0.2)
    with pytest.raises(Broken, match=r"cannot be reached \(service.example was not found in time\)"):
        web.send("POST", "/orders", submits=True)
    web.close()
    over.set()


def test_a_deadline_within_another_never_ends_later() -> None:
    assert seconds_left() is None
    with deadline(10):
        with deadline(100):
            assert (seconds_left() or 0) <= 10
        with deadline(1):
            assert (seconds_left() or 0) <= 1
        assert (seconds_left() or 0) > 1
    assert seconds_left() is None


def test_a_client_that_cannot_be_guarded_is_not_used() -> None:
    client = httpx.Client(transport=httpx.MockTransport(lambda _request: httpx.Response(200)))
    with pytest.raises(TypeError, match="cannot guard"):
        guard(client, allow_private=False)
    client.close()
