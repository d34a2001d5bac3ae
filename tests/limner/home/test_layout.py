"""A home is made on demand, or refused in one sentence."""

import os
import stat
from pathlib import Path

import pytest

from limner.errors import BadInput, DiskFull
from limner.home.layout import FOLDERS, folder, refuse


def test_makes_each_folder_when_it_is_asked_for(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    assert [folder(home, name) for name in FOLDERS] == [home / name for name in FOLDERS]
    assert all((home / name).is_dir() for name in FOLDERS)


def test_what_it_makes_is_for_nobody_else_to_read(tmp_path: Path) -> None:
    assert stat.S_IMODE(folder(tmp_path / "home", "run").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700


def test_a_file_cannot_be_the_home(tmp_path: Path) -> None:
    file = tmp_path / "home"
    file.write_text("")
    with pytest.raises(BadInput, match="set LIMNER_HOME to a folder"):
        folder(file, "run")


def test_an_impossible_path_is_one_sentence(tmp_path: Path) -> None:
    for impossible in (tmp_path / ("x" * 300), Path("/proc/limner"), Path("/dev/null/limner")):
        with pytest.raises(BadInput, match="cannot be Limner's home"):
            folder(impossible, "run")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_home_without_the_right_to_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(BadInput, match="cannot be Limner's home"):
        folder(tmp_path / "home", "run")


def test_no_room_is_a_full_disk_not_a_bad_path(tmp_path: Path) -> None:
    with pytest.raises(DiskFull, match="make room"):
        refuse(tmp_path, OSError(28, "No space left on device"))
