"""Set-up of the tests that run whole programs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from limits import HANG
from warm import warm_commands


@pytest.fixture(scope="session")
def commands() -> Iterator[Path]:
    """Return a folder with `python` and `lgt`, warm where the system can fork."""
    if sys.platform == "win32":
        yield Path(sys.executable).parent
        return
    with warm_commands() as folder:
        yield folder


@pytest.fixture
def run_program(commands: Path, repository: Path) -> Callable[..., str]:
    """Return what runs a program of the repository as a user would, and returns what it printed."""

    def run(program: str, *arguments: str | Path) -> str:
        done = subprocess.run(
            [commands / "python", program, *arguments],
            cwd=repository,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=HANG,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
