"""The local folder, with real files."""

import os
from pathlib import Path
from urllib.parse import unquote

import pytest

from core.clock import SystemClock
from storage import Local, StorageError, name_of

PNG = b"\x89PNG picture"


async def put(local: Local, at: float, size: int = 100) -> str:
    """A picture that was stored at that second."""
    name = name_of("fox", "image/png", at)
    await local.put(name, b"x" * size, "image/png")
    found = await local.find(name)
    assert found is not None
    os.utime(found.path, (at, at))
    return name


async def test_what_is_put_is_found(tmp_path: Path) -> None:
    """Under the link's name, with its size and type, in a folder that only its owner may read."""
    local = Local(tmp_path / "files", SystemClock())
    name = name_of("狐狸", "image/webp", 1.0)
    link = await local.put(name, PNG, "image/webp")
    assert link.startswith("/files/")
    assert link.isascii()
    found = await local.find(unquote(link.removeprefix("/files/")))
    assert found is not None
    assert found.path.read_bytes() == PNG
    assert (found.size, found.content_type) == (len(PNG), "image/webp")
    assert (tmp_path / "files").stat().st_mode & 0o777 == 0o700
    assert [path.name for path in (tmp_path / "files").iterdir()] == [name]


async def test_nothing_outside_is_found(tmp_path: Path) -> None:
    """Neither by a path nor by a link that somebody has put into the folder."""
    local = Local(tmp_path / "files", SystemClock())
    (tmp_path / "secret.png").write_bytes(PNG)
    name = await put(local, 1.0)
    trap = name_of("trap", "image/png", 1.0)
    (tmp_path / "files" / trap).symlink_to(tmp_path / "secret.png")
    for asked in ("../secret.png", "/etc/passwd", trap, name + "/", "", "."):
        assert await local.find(asked) is None
        assert await local.read(asked) is None
        await local.remove(asked)
    assert (tmp_path / "secret.png").exists()
    assert (tmp_path / "files" / trap).is_symlink()


async def test_a_name_of_another_kind_is_refused(tmp_path: Path) -> None:
    """A wrong extension would be served as the wrong type."""
    local = Local(tmp_path, SystemClock())
    for name in ("x.png", name_of("fox", "image/jpeg", 1.0), "../" + name_of("fox", "image/png", 1.0)):
        with pytest.raises(StorageError):
            await local.put(name, PNG, "image/png")


async def test_old_pictures_are_swept(tmp_path: Path) -> None:
    """Those past their age go, and so does what a killed process left half written; strangers' files stay."""
    now = SystemClock().now()
    local = Local(tmp_path, SystemClock(), max_age=3600.0)
    old, fresh = await put(local, now - 4000), await put(local, now - 3000)
    (tmp_path / "notes.txt").write_text("mine")
    half = tmp_path / ".x.part"
    half.write_bytes(b"x")
    os.utime(half, (now - 4000, now - 4000))
    assert await local.sweep() == 1
    assert await local.find(old) is None
    assert await local.find(fresh) is not None
    assert sorted(os.listdir(tmp_path)) == sorted([fresh, "notes.txt"])


async def test_the_oldest_go_first_when_it_is_too_much(tmp_path: Path) -> None:
    """The folder is brought below its bound, and not further."""
    local = Local(tmp_path, SystemClock(), max_bytes=250)
    names = [await put(local, 1000.0 + n) for n in range(5)]
    assert await local.sweep() == 3
    assert [await local.find(name) is not None for name in names] == [False] * 3 + [True] * 2
    assert await local.sweep() == 0


async def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    """A file stands where the folder should be: told with the folder's name, by `put` and by `check`."""
    (tmp_path / "files").write_text("in the way")
    local = Local(tmp_path / "files", SystemClock())
    with pytest.raises(StorageError, match="files"):
        await local.put(name_of("fox", "image/png", 1.0), PNG, "image/png")
    with pytest.raises(StorageError, match="files"):
        await local.check()
    assert await local.sweep() == 0


async def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    """A pipe of a picture's name would keep the reader waiting for ever."""
    local = Local(tmp_path / "files", SystemClock())
    name = name_of("fox", "image/png", 1.0)
    (tmp_path / "files").mkdir()
    os.mkfifo(tmp_path / "files" / name)
    assert await local.read(name) is None
    await local.remove(name)
    assert (tmp_path / "files" / name).is_fifo()
