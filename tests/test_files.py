from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_pe_perf.errors import WriteError
from pytest_pe_perf.files import write_all_atomically, write_atomically

FULL_DISK = """
import resource, sys
from pathlib import Path
from pytest_pe_perf.errors import WriteError
from pytest_pe_perf.files import write_all_atomically
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
folder = Path(sys.argv[1])
try:
    write_all_atomically({folder / "small": b"new", folder / "large": b"x" * 100_000})
except WriteError as error:
    print(error)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_folders_are_made(tmp_path: Path) -> None:
    """A file is written together with the folders above it."""
    write_atomically(tmp_path / "a" / "b" / "c", b"data")
    assert (tmp_path / "a" / "b" / "c").read_bytes() == b"data"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_permissions_follow_the_mask(tmp_path: Path) -> None:
    """A written file can be read by those whom the process's mask lets read."""
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_replaces_whole(tmp_path: Path) -> None:
    """What stood there before is replaced, and no temporary file stays behind."""
    (tmp_path / "file").write_bytes(b"a long text that was there before")
    write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert names(tmp_path) == ["file"]


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    """A path through a file is a WriteError that names it, and none of the files is written."""
    (tmp_path / "blocked").touch()
    with pytest.raises(WriteError, match="blocked"):
        write_all_atomically({tmp_path / "fine": b"new", tmp_path / "blocked" / "file": b"new"})
    assert names(tmp_path) == ["blocked"]


def test_a_folder_where_a_file_should_be(tmp_path: Path) -> None:
    """A folder is never replaced by a file."""
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(WriteError, match="folder"):
        write_atomically(tmp_path / "folder", b"new")
    assert names(tmp_path) == ["folder"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_full_disk(tmp_path: Path) -> None:
    """A disk that is full at the second file leaves the first as it was, and nothing behind."""
    (tmp_path / "small").write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "cannot write" in done.stdout
    assert "cannot-write" in done.stdout
    assert (tmp_path / "small").read_bytes() == b"old"
    assert names(tmp_path) == ["small"]


def test_a_folder_in_the_way_is_met_before_anything_is_replaced(tmp_path: Path) -> None:
    """Where one of several targets is a folder, the others stay as they were."""
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    first.write_bytes(b"old")
    second.mkdir()
    with pytest.raises(WriteError, match="untouched"):
        write_all_atomically({first: b"new", second: b"new"})
    assert first.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json"]
