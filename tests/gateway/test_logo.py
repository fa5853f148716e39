"""`gempool watermark` on files: what it tells, what it writes, what it never touches."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import watermark_samples as samples
from watermark import read_maps
from watermark.provenance import SOURCE_TYPE
from watermark.star import coverage

GEMPOOL = Path(sys.executable).with_name("gempool")


def gempool(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [GEMPOOL, "watermark", *arguments],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    clean = samples.texture("fractal", 31, 300, 320)
    marked = samples.stamp(clean, "v1", 48, (32, 32))
    (tmp_path / "plain.png").write_bytes(samples.encode(clean, "PNG"))
    (tmp_path / "marked.png").write_bytes(samples.encode(marked, "PNG"))
    (tmp_path / "marked.jpg").write_bytes(samples.encode(marked, "JPEG", quality=92))
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_inspect_tells_of_each_file(folder: Path) -> None:
    """A line for each, in order; a file that is not there is told, costs the exit code, and stops nothing."""
    done = gempool(folder, "inspect", "marked.png", "missing.png", "plain.png", "notes.txt")
    first, second, third, fourth = done.stdout.splitlines()
    assert first.startswith(
        "marked.png: V1 logo of 48 px, 32 px from the right and 32 from the bottom (score "
    )
    assert second == "missing.png: missing.png cannot be read: No such file or directory."
    assert third == "plain.png: no logo"
    assert fourth == "notes.txt: cannot be looked at (not a PNG, JPEG or WebP picture)"
    assert (done.returncode, done.stderr) == (1, "1 of 4 files could not be worked on.\n")
    assert gempool(folder, "inspect", "plain.png", "notes.txt").returncode == 0


def test_inspect_tells_programs(folder: Path) -> None:
    """JSON holds the verdict's fields; nothing is written."""
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    done = gempool(folder, "inspect", "--json", "marked.jpg", "plain.png")
    marked, plain = json.loads(done.stdout)
    assert (marked["file"], marked["found"], marked["kind"], marked["size"]) == ("marked.jpg", True, "v1", 48)
    assert (plain["file"], plain["found"], plain["reason"], plain["error"]) == (
        "plain.png",
        False,
        "no_logo",
        "",
    )
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_clean_writes_beside(folder: Path) -> None:
    """The source stays; the new file has no logo, says where it comes from, and is the only one."""
    source = (folder / "marked.png").read_bytes()
    done = gempool(folder, "clean", "marked.png", "plain.png")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].endswith(" -> marked.clean.png")
    assert (folder / "marked.png").read_bytes() == source
    result = (folder / "marked.clean.png").read_bytes()
    error = np.abs(samples.decode(result).astype(int) - samples.texture("fractal", 31, 300, 320))
    assert error.max() <= 1
    assert SOURCE_TYPE.encode() in result
    assert not (folder / "plain.clean.png").exists()
    assert gempool(folder, "inspect", "marked.clean.png").stdout == "marked.clean.png: no logo\n"


def test_clean_writes_into_a_folder_and_shows_both(folder: Path) -> None:
    """--out makes the folder; --compare adds a picture of the logo's place, before on the left and after on the right."""
    done = gempool(folder, "clean", "marked.png", "--out", "new/ones", "--compare", "--json")
    (told,) = json.loads(done.stdout)
    assert told["written"] == ["new/ones/marked.clean.png", "new/ones/marked.compare.png"]
    with Image.open(folder / "new/ones/marked.compare.png") as image:
        pixels = np.asarray(image.convert("L")).astype(int)
    half = (pixels.shape[1] - 16) // 2
    left, right = pixels[:, :half], pixels[:, half + 16 :]
    assert half >= 400
    middle = slice(left.shape[0] // 2 - 15, left.shape[0] // 2 + 15)
    assert left[middle, middle].mean() > right[middle, middle].mean() + 20
    assert np.array_equal(left[:10, :10], right[:10, :10])


def test_clean_in_place_is_asked_for(folder: Path) -> None:
    """--in-place replaces the file, keeps its permissions, and leaves those without logo alone."""
    (folder / "marked.jpg").chmod(0o640)
    plain = (folder / "plain.png").read_bytes()
    assert gempool(folder, "clean", "--in-place", "marked.jpg", "plain.png").returncode == 0
    assert (folder / "marked.jpg").stat().st_mode & 0o777 == 0o640
    assert (folder / "plain.png").read_bytes() == plain
    assert gempool(folder, "inspect", "marked.jpg").stdout == "marked.jpg: no logo\n"
    assert not list(folder.glob(".*"))


def test_clean_refuses_what_contradicts(folder: Path) -> None:
    """Two targets are refused; so is a folder that is a file; the words name the option."""
    assert "--in-place and --out" in gempool(folder, "clean", "--in-place", "--out", "x", "marked.png").stderr
    done = gempool(folder, "clean", "--out", "notes.txt", "marked.png")
    assert (done.returncode, "--out: notes.txt cannot be made" in done.stdout) == (1, True)
    assert gempool(folder, "clean", "--stars", "notes.txt", "marked.png").stderr.startswith(
        "--stars: This is not a star file."
    )


def capture(size: int, margin: int, peak: float = 0.5, noise: int = 3) -> samples.Bytes:
    rng = np.random.default_rng(7)
    black = np.zeros((400, 420, 3), np.uint8)
    box = black[400 - margin - size : 400 - margin, 420 - margin - size : 420 - margin]
    star = coverage(size) * peak * 255
    noisy = star + (star > 0) * rng.integers(-noise, noise + 1, star.shape)
    box[:] = np.clip(np.rint(noisy), 0, 255)[..., None]
    return black


def test_calibrate_finds_the_exact_star(folder: Path) -> None:
    """Noisy captures of both sizes end in one file with the true maps, which clean then uses."""
    for size, margin in ((48, 32), (96, 64)):
        (folder / f"{size}.png").write_bytes(samples.encode(capture(size, margin), "PNG"))
        done = gempool(folder, "calibrate", f"{size}.png", "--out", "s.json")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(
            f"{size} px star, {margin} px from the right and {margin} from the bottom, 0.50"
        )
        assert "it is the built-in star" in done.stdout
    maps = read_maps((folder / "s.json").read_bytes())
    assert {size: np.array_equal(found, coverage(size)) for size, found in maps.items()} == {
        48: True,
        96: True,
    }
    assert "-> marked.clean.png" in gempool(folder, "clean", "--stars", "s.json", "marked.png").stdout


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (samples.encode(capture(48, 32), "JPEG", quality=80), "A JPEG of quality 80 is too coarse"),
        (samples.encode(samples.texture("fractal", 1, 300, 300), "PNG"), "coloured"),
        (samples.encode(np.full((300, 300, 3), 90, np.uint8), "PNG"), "not black"),
        (samples.encode(np.zeros((300, 300, 3), np.uint8), "PNG"), "There is no logo"),
        (samples.encode(capture(48, 32)[:-50], "PNG"), "the logo is 48 or 96|cut off|not the logo's star"),
        (samples.encode(capture(48, 32, peak=0.9), "PNG"), "those that are known"),
        (b"not a picture", "Calibrate from a PNG"),
    ],
)
def test_calibrate_refuses_by_name(folder: Path, data: bytes, words: str) -> None:
    """What is not a capture on black is told in words, and no star file is written."""
    import re

    (folder / "capture.png").write_bytes(data)
    done = gempool(folder, "calibrate", "capture.png")
    assert done.returncode == 1
    assert re.search(words, done.stderr), done.stderr
    assert not (folder / "stars.json").exists()
