"""Ray Data does what one process does: the same files, also where a worker or the driver is killed.

Processes of Ray take seconds to start, so that few jobs have to show much.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from limits import HANG
from ray_stages import REFUSED, Dying, doubled
from toys import make_images

from lgt.cluster import Spread, Stages, _Stage, through
from lgt.errors import InputError

pytest.importorskip("ray", reason="needs the extra cluster (Ray)")
ONE = Spread(workers=1)
COMMAND = (sys.executable, "-m", "lgt")


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def lgt(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=HANG, check=False)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let processes of Ray find what tests share."""
    here = str(Path(__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([here, os.environ.get("PYTHONPATH", "")]))


def test_a_killed_worker_loses_and_repeats_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "killed"
    stages = Stages(doubled, Dying(marker), doubled)
    made = list(through(range(40), stages, ONE, block=4))
    assert marker.exists()
    assert sorted(made) == [2 * (2 * row + 1) for row in range(40)]


def test_what_ends_a_run_goes_to_whoever_started_it(tmp_path: Path) -> None:
    """Through the stages that follow, without words of Ray's."""
    import pyarrow

    def batch(rows: list[Any]) -> Any:
        return pyarrow.table({"row": [pickle.dumps(row) for row in rows]})

    def refused() -> Callable[[list[int]], Iterable[int]]:
        raise InputError("no such model")

    (tmp_path / "killed").touch()
    (part,) = _Stage(Dying(tmp_path / "killed"))(batch([5, REFUSED, 7]))
    (then,) = _Stage(lambda: list)(part)
    first, failure = map(pickle.loads, then["row"].to_pylist())
    assert first == 6
    assert str(failure.error) == "minus one: not for this model"
    (only,) = _Stage(refused)(batch([1, 2]))
    assert str(pickle.loads(only["row"][0].as_py()).error) == "no such model"


@pytest.mark.parametrize(("held", "parts"), [(0.0, 3), (60.0, 1)])
def test_slow_rows_are_given_on_one_by_one(
    held: float, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow

    monkeypatch.setattr("lgt.cluster._HELD", held)
    rows = pyarrow.table({"row": [pickle.dumps(row) for row in range(3)]})
    found = list(_Stage(lambda: list)(rows))
    assert len(found) == parts
    assert [pickle.loads(x) for part in found for x in part["row"].to_pylist()] == [0, 1, 2]


def test_latents_are_those_of_one_process(tmp_path: Path) -> None:
    raw = make_images(tmp_path / "raw", ["a/1.png", "a/sub/2.jpg", "b/3.webp", "b/4.png"])
    (raw / "b" / "bad.png").write_bytes(b"no picture")
    options = ("--raw_data_root", raw, "--target_size", 32, "--num_crops", 2, "--hflip")
    alone, many = tmp_path / "alone", tmp_path / "many"
    settings = tuple(map(str, options))
    first = lgt("preprocess", *settings, "--output_root", alone)
    ray = ("--engine", "ray", "--ray_workers", "1")
    then = lgt("preprocess", *settings, "--output_root", many, *ray)
    assert (first.returncode, then.returncode) == (1, 1), then.stderr
    assert then.stdout == first.stdout.replace(str(alone), str(many))
    assert "bad.png: not an image" in then.stderr
    assert "Traceback" not in then.stderr
    assert "core_worker" not in then.stderr, "what Ray says of itself"
    assert files(many) == files(alone)
    assert len(files(many)) == 4 * 4 + 1


@pytest.mark.skipif(
    not os.environ.get("LGT_RAY_TESTS"), reason="takes a minute of processor time: LGT_RAY_TESTS=1"
)
def test_a_killed_driver_leaves_a_folder_to_go_on_in(tmp_path: Path) -> None:
    photos = make_images(tmp_path / "photos", [f"{number:02}.jpg" for number in range(24)])
    alone, many = tmp_path / "alone", tmp_path / "many"
    options = (str(photos), "--style", "monet", "--backend", "torch", "--canvas", "0")
    assert lgt("transfer", options[0], f"{alone}/", *options[1:]).returncode == 0
    command = ["transfer", options[0], f"{many}/", *options[1:], "--engine", "ray"]
    command += ["--ray_workers", "1"]
    driver = subprocess.Popen(
        [*COMMAND, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: driver.poll() is not None or len(list(many.glob("*.png"))) > 2)
    driver.kill()
    driver.wait(HANG)
    wait_for(lambda: not still_running(driver.pid))
    before = {path: path.stat().st_mtime_ns for path in many.glob("*.png")}
    assert 2 < len(before) < 24
    done = lgt(*command)
    assert done.returncode == 0, done.stderr
    assert f"{24 - len(before)} written, {len(before)} already there" in done.stdout
    assert files(many) == files(alone)
    assert before.items() <= {p: p.stat().st_mtime_ns for p in many.glob("*.png")}.items()


def wait_for(is_so: Callable[[], Any]) -> None:
    end = time.monotonic() + HANG
    while not is_so():
        assert time.monotonic() < end, "hangs"
        time.sleep(0.05)


def still_running(driver: int) -> bool:
    """Tell whether processes of a driver's Ray are at work; its name has the driver's number."""
    import psutil

    mark = f"_{driver}/"
    return any(
        mark in " ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])
    )


def test_one_file_is_no_work_for_many(tmp_path: Path) -> None:
    photos = make_images(tmp_path / "photos", ["1.jpg"])
    done = lgt(
        "transfer", photos / "1.jpg", tmp_path / "1.png", "--style", "monet", "--engine", "ray"
    )
    assert done.returncode == 2
    assert "--engine ray is for many files" in done.stderr
    done = lgt("transfer", photos, tmp_path / "out/", "--style", "monet", "--address", "auto")
    assert "--address is for --engine ray" in done.stderr
