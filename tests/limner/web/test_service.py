"""One service on the web: what a broken answer means, what is read of it, who sees the key, what is asked again."""

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from limner.errors import (
    BadInput,
    Broken,
    Busy,
    Cancelled,
    Invalid,
    OutOfCredit,
    ProviderError,
    Unauthorised,
    Unfinished,
    UnknownOutcome,
)
from limner.web import Reply, Web
from limner.web.bodies import MAX_ERROR_BYTES
from limner.web.service import check_key, retry_after_seconds
from tests.deployments.users import becomes
from tests.limner.web.conftest import web_to
from tests.standins.serving import Running

# What sockets hold of a body that nobody reads.
IN_FLIGHT = 16 * 1024 * 1024


def order(web: Web) -> Reply:
    return web.send("POST", "/orders", submits=True)


def look(web: Web) -> Reply:
    return web.send("GET", "/orders/1", submits=False)


def fetch(web: Web) -> Reply:
    return web.download(f"{web.base_url}/files/picture.jpg")


@pytest.mark.parametrize("what", ["truncated", "reset", "hang up"])
def test_an_order_whose_answer_broke_is_of_unknown_outcome_and_a_look_at_it_only_broke(
    web: Web, standin: Running, what: str
) -> None:
    standin.fail({"what": what, "where": ""})
    with pytest.raises(UnknownOutcome, match="it may still be drawing") as ordered:
        order(web)
    assert ordered.value.may_be_paid
    for ask in (look, fetch):
        with pytest.raises(Broken) as looked:
            ask(web)
        assert not looked.value.may_be_paid
    standin.fail()
    assert order(web).json()["size"] == 0


def test_a_service_that_is_not_there_took_no_order() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        web = web_to(f"http://127.0.0.1:{held.getsockname()[1]}", "sk_x", allow_private=True)
        with pytest.raises(Broken, match="cannot be reached") as caught:
            order(web)
    web.close()
    assert not caught.value.may_be_paid


# A byte each so many seconds: the whole answer would take minutes, yet none is ever late by itself.
@pytest.mark.parametrize("what", ["trickle head", "trickle"])
@pytest.mark.parametrize("ask", [order, look, fetch])
def test_a_trickle_ends_with_the_calls_time(web: Web, standin: Running, what: str, ask: Callable[[Web], Reply]) -> None:
    look(web)
    standin.fail({"what": what, "where": "", "seconds": 0.15})
    with pytest.raises(UnknownOutcome if ask is order else Broken, match="no whole answer came in time"), web.call(0.5):
        ask(web)


def test_an_upload_that_nobody_reads_ends_with_the_calls_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        web = web_to(f"http://127.0.0.1:{deaf.getsockname()[1]}", "sk_x", allow_private=True, timeout_seconds=1)
        with pytest.raises(UnknownOutcome):
            web.send("POST", "/orders", submits=True, body="a" * IN_FLIGHT)
        web.close()


def test_one_deadline_holds_over_all_that_a_call_does(standin: Running) -> None:
    web = web_to(standin.url, standin.key, allow_private=True, timeout_seconds=30)
    standin.fail({"what": "slow", "where": "poll", "seconds": 0.25})
    looked = 0
    with pytest.raises(Broken, match="in time"), web.call(0.6):
        while True:
            look(web)
            looked += 1
    web.close()
    assert looked in (1, 2)


def test_a_body_that_stops_is_given_up_before_the_calls_time(standin: Running) -> None:
    web = web_to(standin.url, standin.key, allow_private=True, timeout_seconds=600, stall_seconds=0.2)
    standin.fail({"what": "stall", "where": ""})
    with pytest.raises(UnknownOutcome):
        order(web)
    web.close()


def test_of_a_huge_body_little_more_than_the_cap_is_read(web: Web, standin: Running) -> None:
    standin.fail({"what": "huge", "where": "file", "megabytes": 300})
    with pytest.raises(Broken, match="sent more than 1,000,000 bytes"):
        web.download(f"{standin.url}/files/picture.jpg", max_bytes=1_000_000)
    number = standin.events("start")[-1]["number"]
    assert becomes(lambda: standin.events("sent")[-1]["number"] == number)
    assert standin.events("sent")[-1]["bytes"] < IN_FLIGHT


def test_a_body_that_says_it_is_too_large_is_not_read_at_all(web: Web, standin: Running) -> None:
    # It says a terabyte and stops after one byte: whoever read on would find that it stalls.
    with pytest.raises(Broken, match="sent more than 41,943,040 bytes"):
        web.download(f"{standin.url}/promises")


def test_an_order_answered_with_too_much_may_be_paid(web: Web, standin: Running) -> None:
    standin.fail({"what": "huge"})
    with pytest.raises(Broken, match="sent more than") as caught:
        order(web)
    assert caught.value.may_be_paid


def test_a_compressed_answer_is_refused(web: Web, standin: Running) -> None:
    standin.fail({"what": "gzip", "where": ""})
    with pytest.raises(Broken, match="compressed"):
        fetch(web)


@pytest.mark.parametrize(("how", "most"), [("", MAX_ERROR_BYTES), ("/torn", 6_000), ("/packed", 0)])
def test_of_an_error_its_status_counts_however_its_body_comes(web: Web, how: str, most: int) -> None:
    reply = web.send("POST", f"/errors/429{how}", submits=True)
    assert (reply.status, len(reply.data) <= most) == (429, True)
    assert isinstance(web.meaning(reply, reply.data, mend_key="mend it"), Busy)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, Busy),
        (503, Busy),
        (402, OutOfCredit),
        (401, Unauthorised),
        (403, Unauthorised),
        (400, Invalid),
        (404, Invalid),
        (422, Invalid),
        (408, UnknownOutcome),
        (504, UnknownOutcome),
        (524, UnknownOutcome),
        (500, Broken),
        (502, Broken),
        (530, Broken),
        (302, Broken),
        (200, Broken),
    ],
)
def test_a_status_has_one_meaning(web: Web, status: int, error: type[ProviderError]) -> None:
    said = web.meaning(Reply(status, httpx.Headers(), b""), "no way", mend_key="set a key")
    assert type(said) is error
    assert str(said).startswith("plain: ")


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("17", 17.0),
        ("0.25", 0.25),
        ("0", 0.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 0.0),
        ("Sun Nov  6 08:49:37 1994", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("nan", None),
        ("1e9", None),
        ("120, 240", None),
        ("9" * 400, None),
        ("Mon, 99 Foo 2026", None),
        ("Fri, 31 Dec 99999999 23:59:59 GMT", None),
        ("Fri, 31 Dec 2030 23:59:59 +99999999999", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_or_nothing(given: str, seconds: float | None) -> None:
    assert retry_after_seconds({"retry-after": given}) == seconds


@pytest.mark.parametrize("zone", ["GMT", "-0000"])
def test_a_date_in_retry_after_is_counted_from_now(zone: str) -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True).replace("GMT", zone)
    assert retry_after_seconds({"retry-after": when}) == pytest.approx(60, abs=3)


def test_a_download_shows_the_key_to_nobody(web: Web, standin: Running) -> None:
    before = standin.counts()["keys_on_files"]
    # The first hop sets a cookie, which the second does not bring back either.
    web.download(f"{standin.url}/onward?to={standin.url}/onward?to={standin.url}/files/picture.jpg")
    for seen in standin.events("headers")[-2:]:
        assert not seen["headers"].keys() & {"authorization", "cookie"}
        assert standin.key not in str(seen)
    assert standin.counts()["keys_on_files"] == before


def test_the_key_goes_to_the_service_itself_only(web: Web, standin: Running) -> None:
    before = standin.counts()["calls"]
    elsewhere = standin.url.replace("127.0.0.1", "localhost")
    for url in (f"{elsewhere}/orders/1", standin.url.replace("http", "https") + "/orders/1"):
        with pytest.raises(Broken, match="the key stays here"):
            web.send("GET", url, submits=False)
    assert standin.counts()["calls"] == before
    assert web.send("GET", f"{standin.url}/orders/1", submits=False).is_fine


def test_the_key_is_in_no_sentence_and_no_log(web: Web, standin: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    standin.fail({"what": "echo"})
    reply = order(web)
    said = str(web.meaning(reply, reply.json()["detail"], mend_key="mend it"))
    assert "The key Bearer *** may not use this model." in said
    assert standin.key not in caplog.text


def test_a_secret_is_masked_whole_in_parts_and_as_it_stands_in_an_address() -> None:
    web = Web("fal", "https://fal.example", headers={}, secrets=("id/1:word", "word", ""))
    assert web.said("id/1:word, word, id%2F1%3Aword") == "***, ***, ***"


def test_a_refusal_names_the_services_own_words_for_why_and_no_key() -> None:
    web = Web("fal", "https://fal.example", headers={}, secrets=("s3cret",))
    said = web.refused("refused by its policy: no", ("violence", "a s3cret\n", *map(str, range(20))), may_be_paid=True)
    assert str(said) == "fal: refused by its policy: no [violence, a ***, 0, 1, 2, 3, 4, 5]"
    assert said.categories[:3] == ("violence", "a ***", "0") and said.may_be_paid
    assert str(web.refused("no", ())) == "fal: no"
    assert web.masked("  id s3cret\n") == "  id ***\n"


def test_what_a_stranger_says_is_one_short_printable_line() -> None:
    web = Web("plain", "https://plain.example", headers={})
    assert web.said("no\r\n\tway \x1b[31mred\0 \u202e \ud800 !") == "no way [31mred !"
    assert len(web.said("a" * 10_000)) == 300
    assert web.said(ValueError()) == "ValueError"


def test_an_order_that_no_request_can_hold_is_invalid(web: Web, standin: Running) -> None:
    before = standin.counts()["calls"]
    for body in ("\ud800", float("nan")):
        with pytest.raises(Invalid, match="cannot be sent"):
            web.send("POST", "/orders", submits=True, body={"prompt": body})
    assert standin.counts()["calls"] == before


def test_patience_waits_out_what_passes(web: Web, standin: Running) -> None:
    standin.fail(*({"what": what, "where": "poll", "times": 1} for what in ("503", "429", "reset", "hang up", "500")))
    before = standin.counts()["poll"]
    with web.call():
        reply = web.patiently(lambda: look(web), accepted_as="order-1", stop=threading.Event(), poll_seconds=0.01)
    assert reply.json() == {"status": "done"}
    assert standin.counts()["poll"] - before == 6


def test_patience_obeys_retry_after(web: Web, standin: Running) -> None:
    standin.limit(None)
    standin.fail({"what": "429", "where": "poll", "times": 1, "retry_after": "0.4"})
    with web.call():
        web.patiently(lambda: look(web), accepted_as="order-1", stop=threading.Event(), poll_seconds=0.01)
    first, second = standin.events("start")[-2:]
    assert second["at"] - first["at"] >= 0.4


def test_patience_ends_with_the_calls_time_and_the_order_is_only_unfinished(web: Web, standin: Running) -> None:
    standin.fail({"what": "503", "where": "poll"})
    with pytest.raises(Unfinished, match="took the order as order-1"), web.call(0.3):
        web.patiently(lambda: look(web), accepted_as="order-1", stop=threading.Event(), poll_seconds=0.05)


def test_patience_ends_when_nobody_wants_the_picture_any_more(web: Web, standin: Running) -> None:
    standin.fail({"what": "503", "where": "poll"})
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    before = standin.counts()["poll"]
    with pytest.raises(Unfinished), web.call(60):
        web.patiently(lambda: look(web), accepted_as="order-1", stop=stop, poll_seconds=30)
    assert standin.counts()["poll"] - before <= 2


@pytest.mark.parametrize("fault", [{"what": "huge"}, {"what": "gzip"}, {"what": "redirect", "location": "file:///x"}])
def test_what_will_not_change_is_not_fetched_again_and_is_paid_for(
    web: Web, standin: Running, fault: dict[str, str]
) -> None:
    standin.fail({**fault, "where": "file"})
    before = standin.counts()["file"]
    with pytest.raises(Broken) as caught, web.call():
        web.patiently(lambda: fetch(web), accepted_as="order-1", stop=threading.Event(), poll_seconds=0.01)
    assert caught.value.may_be_paid
    assert not isinstance(caught.value, Cancelled)
    assert standin.counts()["file"] - before == 1


def test_a_closed_web_opens_again(web: Web) -> None:
    order(web)
    web.close()
    web.close()
    assert order(web).status == 201


@pytest.mark.parametrize("key", ["sk_two words", "sk_line\n", "sk_ключ", "sk_\x7f"])
def test_a_key_that_no_header_takes_is_refused_without_repeating_it(key: str) -> None:
    with pytest.raises(BadInput, match="set KEY anew") as caught:
        check_key("plain", key, "set KEY")
    assert key.strip() not in str(caught.value)


class Proxy:
    """A forwarding proxy that notes what it was asked for, and answers each request itself."""

    def __init__(self, listening: socket.socket) -> None:
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        self.asked: list[str] = []
        self._listening = listening

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection:
                self.asked.append(connection.recv(65536).partition(b"\r\n")[0].decode())
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")


@contextmanager
def proxying() -> Iterator[Proxy]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        proxy = Proxy(listening)
        thread = threading.Thread(target=proxy.serve)
        thread.start()
        yield proxy
        # Closing alone would leave the thread waiting.
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_proxy_of_the_environment_is_used_but_never_for_this_machine(
    standin: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxying() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        web = web_to("http://nowhere.example", standin.key)
        assert web.send("GET", "/orders/1", submits=False).json() == {}
        assert proxy.asked == ["GET http://nowhere.example/orders/1 HTTP/1.1"]
        for host in ("127.0.0.1", "localhost", "[::1]", "10.0.0.8", "169.254.169.254"):
            with pytest.raises(Broken, match="nothing was sent there"):
                web.download(f"http://{host}/files/picture.jpg")
        web.close()
        near = web_to(standin.url, standin.key, allow_private=True)
        assert fetch(near).is_fine
        near.close()
        assert len(proxy.asked) == 1
