"""Diffusers drawn by the owners of GPUs: who is asked, what each answer means, and what it takes no part in."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from limner.errors import BadInput, Broken, Busy, Cancelled, Invalid, ProviderError, Refused, Unauthorised
from limner.fitting import why_not
from limner.jobs import Adapter, Order, Reference
from limner.providers.diffusers import owners as asking
from limner.providers.diffusers.owners import Owners
from limner.providers.diffusers.wire import token_of
from limner.providers.opening import Wiring, open_provider, wirings_of
from limner.providers.seam import Limits
from limner.settings import Settings
from tests.limner.gpu.painting import TOKEN, Painter, png, served, wanted


@pytest.fixture
def painter() -> Painter:
    return Painter(batch=4, room=3)


@pytest.fixture
def owner(painter: Painter) -> Iterator[str]:
    with served(painter) as (address, _):
        yield address


_opened: list[Owners] = []


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    while _opened:
        _opened.pop().close()


def owners_at(addresses: Sequence[str], token: str, **more: Any) -> Owners:
    """Open a provider that is closed when the test ends."""
    _opened.append(Owners(addresses, token, **more))
    return _opened[-1]


def free_address() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{one.getsockname()[1]}"


def failing(provider: Owners, **more: Any) -> ProviderError:
    with pytest.raises(ProviderError) as error:
        provider.generate(wanted(**more))
    return error.value


def test_a_picture_is_drawn_by_the_owner_and_costs_nothing(painter: Painter, owner: str) -> None:
    painter.let()
    provider = owners_at([owner], TOKEN)
    answer = provider.generate(wanted())
    assert (answer.data, answer.model, answer.cost_usd, answer.provider_id) == (png(), "oil on canvas", 0.0, None)
    assert (provider.name, provider.estimate_usd(wanted().order)) == ("diffusers", 0.0)


def test_what_it_can_do_and_how_many_at_once_is_what_the_owner_says(owner: str) -> None:
    provider = owners_at([owner], TOKEN)
    assert provider.capabilities().models == ("oil on canvas",)
    assert provider.limits == Limits(calls_at_once=8, spare=4)
    assert owners_at([owner], TOKEN, limits=Limits(3, 5)).limits == Limits(3, 5)
    assert why_not(provider, Order("chapter", "a fox"), "watercolour") == "it has no model watercolour"


def test_before_an_owner_was_heard_nothing_would_be_lost_and_then_an_order_is_fitted_anew(painter: Painter) -> None:
    provider = owners_at([free_address()], TOKEN)
    can = provider.capabilities()
    assert (can.models, can.negative_prompts, can.references) == ((), False, 0)
    with served(painter) as (address, _):
        painter.let()
        provider._owners[0]._web.base_url = address
        provider._owners[0]._looked_at = -1e9
        assert "only now; ask again" in str(failing(provider))
        assert provider.capabilities().negative_prompts
        assert provider.generate(wanted()).data == png()


def test_an_owner_that_is_started_anew_is_waited_for_and_one_that_is_not_there_is_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider = owners_at([free_address()], TOKEN)
    away = failing(provider)
    assert isinstance(away, Busy) and away.retry_after_seconds == asking.RETRY_SECONDS
    monkeypatch.setattr(asking, "RESTART_SECONDS", 0.0)
    monkeypatch.setattr(asking, "FRESH_SECONDS", 0.0)
    gone = failing(provider)
    assert type(gone) is Broken and "cannot be reached" in str(gone)
    assert provider.warnings() == (str(gone),)


def test_the_owner_with_the_shortest_line_is_asked_and_the_next_where_that_is_full() -> None:
    painters = [Painter(batch=1, room=1), Painter(batch=1, room=1)]
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(8))
        addresses = [stack.enter_context(served(one))[0] for one in painters]
        provider = owners_at(addresses, TOKEN, connections=8)
        drawing = []
        for _ in range(2):
            drawing.append(pool.submit(provider.generate, wanted()))
            painters[len(drawing) - 1].begun()
        # One waits before each; the line of the one that is asked first need not be the shortest.
        drawing += [pool.submit(provider.generate, wanted()) for _ in range(2)]
        for one in painters:
            one.waits_for(1)
        full = failing(provider)
        assert isinstance(full, Busy) and full.retry_after_seconds == 1.0
        for one in painters:
            one.let()
        assert [one.result(20).data for one in drawing] == [png()] * 4
    assert [sum(map(len, one.batches)) for one in painters] == [2, 2]


def test_one_owner_that_is_away_or_has_another_model_does_not_matter_while_there_is_one(painter: Painter) -> None:
    other = Painter(multiple_of=64)
    with served(painter) as (address, _), served(other) as (another, _):
        painter.let()
        provider = owners_at([free_address(), address, another], TOKEN)
        assert [provider.generate(wanted()).data for _ in range(3)] == [png()] * 3
        away, unlike = provider.warnings()
        assert "is away" in away and "has another model, oil on canvas" in unlike
    assert other.batches == []


def test_a_token_of_another_installation_is_not_accepted_and_never_shown(painter: Painter, owner: str) -> None:
    refused = failing(owners_at([owner], "s3cret-token-of-others"))
    assert type(refused) is Unauthorised and "the same LIMNER_SIGNING_KEY" in str(refused)
    assert "s3cret" not in str(refused) + repr(owners_at([owner], "s3cret-token-of-others"))
    assert painter.batches == []


@pytest.mark.parametrize(
    "error",
    [Refused("diffusers: blackened", ("nsfw",)), Invalid("diffusers: too odd"), Broken("diffusers: out of paint")],
    ids=lambda one: type(one).__name__,
)
def test_what_the_owner_answers_means_what_it_means_there(painter: Painter, owner: str, error: ProviderError) -> None:
    painter.breaks = lambda: error
    painter.let()
    said = failing(owners_at([owner], TOKEN))
    assert type(said) is type(error) and not said.may_be_paid
    assert str(error).removeprefix("diffusers: ") in str(said)
    if isinstance(error, Refused):
        assert isinstance(said, Refused) and said.categories == ("nsfw",)


def test_what_would_be_lost_is_refused_before_anything_is_sent(painter: Painter, owner: str) -> None:
    provider = owners_at([owner], TOKEN)
    leaning = Order("chapter", "a fox", width=64, height=64, references=(Reference("ab" * 32),))
    tuned = Order("chapter", "a fox", width=64, height=64, adapters=(Adapter("lora", "/x"),))
    for order in (leaning, tuned):
        assert type(failing(provider, order=order)) is Invalid
    assert painter.batches == []


def test_who_is_stopped_hangs_up_and_is_taken_out_of_the_line(painter: Painter, owner: str) -> None:
    provider, stop = owners_at([owner], TOKEN), threading.Event()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(provider.generate, wanted("first"))
        painter.begun()
        second = pool.submit(provider.generate, wanted("second", stop=stop))
        painter.waits_for(1)
        stop.set()
        assert type(second.exception(20)) is Cancelled
        painter.waits_for(0)
        painter.let()
        assert first.result(20).data == png()
    assert painter.batches == [["first"]]
    assert type(failing(provider, stop=stop)) is Cancelled


def test_a_call_that_takes_longer_than_its_time_is_broken_and_taken_out_of_the_line(
    painter: Painter, owner: str
) -> None:
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(owners_at([owner], TOKEN).generate, wanted("first"))
        painter.begun()
        late = failing(owners_at([owner], TOKEN, timeout_seconds=0.3), prompt="second")
        assert type(late) is Broken and "no whole answer came in time" in str(late)
        painter.waits_for(0)
        painter.let()
        first.result(20)
    assert painter.batches == [["first"]]


def test_whom_it_is_for_and_how_soon_reaches_the_line(painter: Painter, owner: str) -> None:
    provider = owners_at([owner], TOKEN, connections=8)
    with ThreadPoolExecutor(4) as pool:
        pool.submit(provider.generate, wanted("first"))
        painter.begun()
        for number, (word, whose, priority) in enumerate(
            (("m", "mary", 9), ("j", "john", 9), ("now", "mary", 1)), start=1
        ):
            # Sizes that are not alike, so that none is drawn with another.
            width = 64 + 8 * number
            pool.submit(provider.generate, wanted(word, width=width, owner=whose, priority=priority))
            painter.waits_for(number)
        painter.let()
    assert painter.batches == [["first"], ["now"], ["j"], ["m"]]


class HangsUp(BaseHTTPRequestHandler):
    """An owner that dies with the order in its hands."""

    said: bytes

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.said)

    def do_POST(self) -> None:
        self.close_connection = True

    def log_message(self, *_words: Any) -> None:
        """Keep quiet."""


@pytest.mark.parametrize("kept", ["status", "nothing"])
def test_an_owner_that_dies_in_a_call_is_broken_at_no_cost(painter: Painter, kept: str) -> None:
    with served(painter) as (_, real):
        HangsUp.said = real.status().model_dump_json().encode() if kept == "status" else b"<html>"
    server = ThreadingHTTPServer(("127.0.0.1", 0), HangsUp)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        broken = failing(owners_at([f"http://127.0.0.1:{server.server_port}"], TOKEN))
    finally:
        server.shutdown()
        server.server_close()
        thread.join(20)
    assert type(broken) is Broken and not broken.may_be_paid
    assert ("connection broke" if kept == "status" else "is no owner of a GPU") in str(broken)


# -- how it is opened ----------------------------------------------------------------------------------------------


def test_addresses_in_the_environment_turn_it_on_with_the_token_of_the_installation(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, diffusers_url="http://10.0.0.7:4400, http://gpu-2:4400/", diffusers_model="/x")
    wiring = wirings_of(settings)["diffusers"]
    provider = open_provider(wiring, 4)
    assert isinstance(provider, Owners)
    assert repr(provider) == "Owners(http://10.0.0.7:4400, http://gpu-2:4400)"
    assert wiring.key == SecretStr(token_of(settings)) and token_of(settings) not in repr(provider) + repr(wiring)


@pytest.mark.parametrize("told", ["nonsense", "http://169.254.169.254", "http://a:1,nonsense", ","])
def test_what_is_no_address_of_an_owner_is_refused(told: str) -> None:
    with pytest.raises(BadInput, match=r"^diffusers: "):
        open_provider(Wiring("diffusers", SecretStr("k"), base_url=told), 1)


def test_whoever_asks_an_owner_loads_no_torch() -> None:
    program = "import sys, limner.providers.diffusers.owners; print('torch' in sys.modules, 'starlette' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
