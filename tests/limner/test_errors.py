"""The error tree is what its drawing says, and the command line gives each family its exit status."""

import inspect
import re

import pytest

from deployments.command_line import exit_status
from limner import errors
from limner.errors import LimnerError, RefusedRequest

# "│   ├── BadBook   missing, ..." is depth 2; four characters a level.
BRANCH = re.compile(r"^(?P<bars>[│ ]*)[├└]── (?P<name>\w+)", re.MULTILINE)


def drawn() -> dict[str, str]:
    """Return each drawn class with its drawn parent."""
    path, tree = ["LimnerError"], {}
    for found in BRANCH.finditer(errors.__doc__ or ""):
        depth = len(found["bars"]) // 4 + 1
        path[depth:] = [found["name"]]
        tree[found["name"]] = path[depth - 1]
    return tree


def built() -> dict[str, str]:
    classes = [one for _, one in inspect.getmembers(errors, inspect.isclass) if one.__module__ == errors.__name__]
    return {one.__name__: one.__bases__[0].__name__ for one in classes if one is not LimnerError}


def test_the_drawn_tree_is_the_tree_of_the_classes() -> None:
    assert drawn() == built()
    assert LimnerError.__bases__ == (Exception,)


@pytest.mark.parametrize("name", sorted(built()))
def test_what_was_refused_before_anything_was_made_exits_with_two_and_the_rest_with_one(name: str) -> None:
    kind: type[LimnerError] = getattr(errors, name)
    assert exit_status(kind("a sentence")) == (2 if issubclass(kind, RefusedRequest) else 1)


def test_an_error_says_its_sentence_and_carries_what_the_next_step_needs() -> None:
    assert str(errors.Busy("fal: throttled", 3.5)) == "fal: throttled"
    assert errors.Busy("x", 3.5).retry_after_seconds == 3.5 and errors.Busy("x").retry_after_seconds is None
    assert errors.Refused("x", ("violence",)).categories == ("violence",)
    assert errors.BatchShort("x", "reports/a.json").report == "reports/a.json"
