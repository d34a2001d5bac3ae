"""The error tree is what its drawing says: its classes, and the exit status that the command line gives each."""

import inspect
import re

import pytest

from deployments.command_line import exit_status
from limner import errors
from limner.errors import LimnerError

# "│   ├── BadBook   missing, ..." is depth 2, four characters a level; "exit 2" at the end is for all below it too.
BRANCH = re.compile(r"^(?P<bars>[│ ]*)[├└]── (?P<name>\w+)(?:.*exit (?P<status>\d))?", re.MULTILINE)
FAILED = 1


def drawn() -> dict[str, tuple[str, int]]:
    """Return each drawn class with its drawn parent and exit status."""
    path, tree = ["LimnerError"], {"LimnerError": ("", FAILED)}
    for found in BRANCH.finditer(errors.__doc__ or ""):
        depth = len(found["bars"]) // 4 + 1
        path[depth:] = [found["name"]]
        parent = path[depth - 1]
        tree[found["name"]] = parent, int(found["status"] or tree[parent][1])
    del tree["LimnerError"]
    return tree


def built() -> dict[str, str]:
    classes = [one for _, one in inspect.getmembers(errors, inspect.isclass) if one.__module__ == errors.__name__]
    return {one.__name__: one.__bases__[0].__name__ for one in classes if one is not LimnerError}


def test_the_drawn_tree_is_the_tree_of_the_classes() -> None:
    assert {name: parent for name, (parent, _) in drawn().items()} == built()
    assert LimnerError.__bases__ == (Exception,)


@pytest.mark.parametrize("name", sorted(built()))
def test_each_error_ends_the_command_line_with_its_drawn_status(name: str) -> None:
    kind: type[LimnerError] = getattr(errors, name)
    assert exit_status(kind("a sentence")) == drawn()[name][1]


def test_an_error_says_its_sentence_and_carries_what_the_next_step_needs() -> None:
    assert str(errors.Busy("fal: throttled", 3.5)) == "fal: throttled"
    assert errors.Busy("x", 3.5).retry_after_seconds == 3.5 and errors.Busy("x").retry_after_seconds is None
    assert errors.Refused("x", ("violence",)).categories == ("violence",)
    assert errors.BatchShort("x", "reports/a.json").report == "reports/a.json"
