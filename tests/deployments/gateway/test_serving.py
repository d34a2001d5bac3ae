"""The process: answers whoever keeps it up, ends when told, says in a sentence what stops it."""

import json
import signal
import subprocess
import sys

import httpx
import pytest

from deployments.gateway.kinds import KINDS
from deployments.gateway.serving import serve
from deployments.local_api import child_environment
from limner.errors import BadInput
from limner.home.alive import is_alive
from tests.deployments.gateway.house import House
from tests.deployments.test_prefect_yaml import DEPLOYMENTS, flow_of
from tests.deployments.test_stack import free_port
from tests.deployments.users import becomes


def test_it_says_whether_it_lives_and_whether_it_can_work(house: House) -> None:
    with httpx.Client(base_url=house.url, trust_env=False, timeout=30) as anybody:
        assert anybody.get("/health").json() == {"status": "alive"}
        ready = anybody.get("/ready")
        assert (ready.status_code, ready.json()) == (200, dict.fromkeys(("ledger", "bucket", "prefect"), "ready"))
        metrics = anybody.get("/metrics")
        assert metrics.headers["content-type"].startswith("text/plain") and "# TYPE limner_" in metrics.text
    assert is_alive(house.home, "gateway")


def test_what_there_is_not_is_json_in_one_sentence(house: House) -> None:
    with httpx.Client(base_url=house.url, trust_env=False) as anybody:
        for method, path, status in (("GET", "/", 404), ("GET", "/v1/../etc", 404), ("PATCH", "/v1/requests", 405)):
            refused = anybody.request(method, path)
            assert refused.status_code == status and refused.json()["error"].endswith(".")


def test_a_taken_port_is_one_sentence(house: House) -> None:
    port = int(house.url.rpartition(":")[2])
    with pytest.raises(BadInput, match=rf"cannot listen on 127\.0\.0\.1:{port} .*set LIMNER_GATEWAY_PORT"):
        serve(house.settings, port=port)


def test_what_may_be_asked_for_is_deployed_and_takes_that_request() -> None:
    deployed = {one["name"]: flow_of(one) for one in DEPLOYMENTS}
    for kind, model in KINDS.items():
        assert deployed[kind].fn.__annotations__["request"] is model


def test_the_process_ends_when_it_is_told_to(house: House) -> None:
    port = free_port()
    told = {"LIMNER_GATEWAY_PORT": port, "LIMNER_PREFECT_API_URL": _api(house)}
    process = subprocess.Popen([sys.executable, "-m", "deployments.gateway.serving"], env=child_environment() | told)
    try:
        assert becomes(lambda: answers(f"http://127.0.0.1:{port}/ready"), 60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()


def answers(address: str) -> bool:
    try:
        return httpx.get(address, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _api(house: House) -> str:
    url: str = json.loads((house.home / "run" / "api.json").read_text())["url"]
    return url
