"""One picture of each real service, where its key is set in the environment; costs some cents (pytest -m live).

The stand-ins speak the documented protocols; this says whether the services still do.
"""

import os
from contextlib import closing

import pytest

from limner.providers.seam import Checked
from limner.quality.verifying import verify
from tests.limner.providers.services import SERVICES, Service

pytestmark = pytest.mark.live

# A model that nobody used lately is started first.
TIMEOUT_SECONDS = 280.0


@pytest.mark.parametrize("service", SERVICES, ids=lambda one: one.name)
def test_the_real_service_draws_what_its_stand_in_draws(service: Service) -> None:
    key = os.environ.get(service.variable, "")
    if not key:
        pytest.skip(f"{service.variable} is not set")
    said: list[str] = []
    with closing(service.open_at(key, timeout_seconds=TIMEOUT_SECONDS, **service.live)) as provider:
        assert not isinstance(provider, Checked) or not provider.warnings()
        answer = provider.generate(service.asked(provider, "an old castle on a hill", accepted=said.append))
        image = verify(answer.data)
        assert (image.width, image.height) == (service.order.width, service.order.height)
        assert answer.cost_usd is None or 0 < answer.cost_usd <= provider.estimate_usd(service.order)
    assert said == ([answer.provider_id] if service.way == "address" else [])
