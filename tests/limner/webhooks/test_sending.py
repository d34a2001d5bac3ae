"""Where a receiver may be, what is said of one, and when it is tried again."""

import pytest

from limner.errors import BadInput
from limner.webhooks.delivering import SCHEDULE, pause_seconds
from limner.webhooks.sending import Answer, check_url, secret_of


@pytest.mark.parametrize(
    "url",
    [
        "https://8.8.8.8/limner",
        "https://nobody.invalid/limner?token=of-the-receiver",
        "https://[2606:4700::1111]:8443",
    ],
)
def test_takes_a_public_https_address(url: str) -> None:
    assert check_url(url, allow_private=False) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://8.8.8.8/",
        "https://127.0.0.1/",
        "https://localhost/",
        "https://10.0.0.1:8443/",
        "https://169.254.169.254/latest",
        "https://user:pa55word@8.8.8.8/",
        "https://8.8.8.8:99999/",
        "https://8.8.8.8/a b",
        "https://8.8.8.8/#part",
        "ftp://8.8.8.8/",
        "https://",
        "castle",
        "https://8.8.8.8/" + "a" * 3000,
    ],
)
def test_refuses_any_other_in_one_sentence_without_a_password(url: str) -> None:
    with pytest.raises(BadInput) as refused:
        check_url(url, allow_private=False)
    assert "pa55word" not in str(refused.value)


def test_takes_a_receiver_of_ones_own_where_that_is_allowed_but_no_clouds_secrets() -> None:
    assert check_url("http://127.0.0.1:8000/", allow_private=True)
    with pytest.raises(BadInput):
        check_url("http://169.254.169.254/", allow_private=True)


def test_each_webhook_has_a_secret_of_its_own() -> None:
    assert secret_of(b"key", "one") == secret_of(b"key", "one")
    assert len({secret_of(b"key", "one"), secret_of(b"key", "two"), secret_of(b"other", "one")}) == 3
    assert secret_of(b"key", "one").startswith("whsec_")


def test_is_tried_ten_times_over_three_days_and_later_for_whoever_asks_for_it() -> None:
    pauses = [pause_seconds(SCHEDULE, tries, None) for tries in range(1, 11)]
    assert pauses[-1] is None
    for pause, told in zip(pauses, SCHEDULE, strict=False):
        assert pause is not None
        assert told <= pause <= told * 1.2
    asked = pause_seconds(SCHEDULE, 1, Answer(429, retry_after_seconds=90))
    assert asked is not None
    assert 90 <= asked < 120
    forever = pause_seconds(SCHEDULE, 1, Answer(503, retry_after_seconds=1e9))
    assert forever is not None
    assert forever < 2 * 86_400
