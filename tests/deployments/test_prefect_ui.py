"""A person in the Prefect UI: starts a run from a deployment's form, sees its pictures, retries what failed.

In headless Chromium; left out where there is none. The screenshots stay in `build/screenshots/`.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, sync_playwright

from tests.chaos.homes import turned_on
from tests.deployments.test_command_line import limner
from tests.deployments.test_stack import ends, free_port, start
from tests.deployments.users import becomes
from tests.standins import pollinations
from tests.standins.serving import Running

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SHOTS = Path(__file__).parents[2] / "build" / "screenshots"
# A page of the UI is drawn by a browser on a machine that may be busy.
PAGE_MS = 60_000

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (apt install chromium)")


@pytest.fixture
def standin() -> Iterator[Running]:
    with pollinations.running(0.0) as running:
        yield running


@pytest.fixture
def api(stack_home: Path, standin: Running) -> Iterator[httpx.Client]:
    """The Prefect API of a stack whose first provider is the stand-in."""
    port = free_port()
    ports = ("--port", port, "--gateway-port", free_port())
    done = limner(stack_home, "up", "--detach", *ports, **turned_on("pollinations", standin))
    assert done.returncode == 0, done.stdout + done.stderr
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/api", trust_env=False, timeout=30) as client:
            yield client
    finally:
        limner(stack_home, "down")


@pytest.fixture
def page(api: httpx.Client) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        address = str(api.base_url).removesuffix("/api/")
        opened = browser.new_page(base_url=address, viewport={"width": 1400, "height": 1800})
        opened.set_default_timeout(PAGE_MS)
        yield opened
        browser.close()


def field(page: Page, title: str) -> Locator:
    """Return the form's input under a title."""
    around = "xpath=ancestor::*[contains(concat(' ', @class, ' '), ' p-label ')][1]"
    label = page.locator("label", has=page.get_by_text(f"{title} (Optional)", exact=True))
    return label.locator(around).locator("textarea, input").first


def keep(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png")


def newest_run(api: httpx.Client, deployment: str) -> dict[str, Any]:
    asked = {"flow_runs": {"deployment_id": {"any_": [deployment]}}, "sort": "EXPECTED_START_TIME_DESC", "limit": 1}
    found = api.post("/flow_runs/filter", json=asked).json()
    return dict(found[0]) if found else {}


def artifact(api: httpx.Client, run: str, kind: str) -> str:
    asked = {"artifacts": {"flow_run_id": {"any_": [run]}, "type": {"any_": [kind]}}}
    return str(api.post("/artifacts/filter", json=asked).json()[0]["id"])


def draws_pictures(page: Page) -> bool:
    """Say whether every picture on the page was loaded, and there is one."""
    return bool(
        page.evaluate(
            "() => { const all = [...document.querySelectorAll('article img, .markdown-renderer img')];"
            " return all.length > 0 && all.every(one => one.complete && one.naturalWidth > 0); }"
        )
    )


def test_a_person_starts_a_run_sees_its_pictures_and_retries_a_failed_one(
    api: httpx.Client, page: Page, standin: Running
) -> None:
    """Told in order, since a stack takes many seconds to come up."""
    deployment = api.get("/deployments/name/illustrate-chapter/illustrate-chapter").json()["id"]
    page.goto(f"/deployments/deployment/{deployment}/run")
    field(page, "Limit").fill("2")
    field(page, "Title").fill("From the form")
    # What a run fills in by itself nobody is asked for; a choice is a list to choose from.
    assert page.get_by_text("sha256").count() == 0
    keep(page, "form")
    page.get_by_role("button", name="Submit").click()
    assert becomes(
        lambda: newest_run(api, deployment).get("parameters", {}).get("request", {}).get("title") == "From the form", 60
    )
    run = newest_run(api, deployment)
    assert ends(api, run["id"]) == "COMPLETED"

    page.goto(f"/runs/flow-run/{run['id']}")
    page.get_by_text("2 made, 0 reused, 0 rejected, 0 failed.").wait_for()
    keep(page, "completed")
    page.goto(f"/artifacts/artifact/{artifact(api, run['id'], 'markdown')}")
    page.wait_for_selector("img")
    assert becomes(lambda: draws_pictures(page), 60)
    keep(page, "contact-sheet")

    standin.fail({"what": "safety"})
    failed = start(api, title="Refused", provider=["pollinations"])
    assert ends(api, failed) == "FAILED"
    standin.fail()
    before = standin.counts()["calls"]
    page.goto(f"/runs/flow-run/{failed}")
    page.get_by_role("button", name="Retry").click()
    keep(page, "failed")
    page.locator(".p-modal").get_by_role("button", name="Retry").click()
    assert becomes(lambda: api.get(f"/flow_runs/{failed}").json()["state"]["type"] == "COMPLETED", 90)
    assert standin.counts()["calls"] == before + 1
    page.goto(f"/runs/flow-run/{failed}")
    page.get_by_text("1 made, 0 reused, 0 rejected, 0 failed.").wait_for()
    keep(page, "retried")
