"""What is installed: the core paints without torch, every extra is known, pinned and named."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from lgt import doctor
from lgt.extras import EXTRAS, missing, pip_install

ROOT = Path(__file__).resolve().parents[2]
NAME = re.compile(r"^[A-Za-z0-9_.-]+")
MODULES = {"scikit-image": "skimage", "pillow-heif": "pillow_heif"}
"""Modules that are not called as their distribution."""


def project() -> dict[str, Any]:
    if sys.version_info < (3, 11):
        pytest.skip("tomllib comes with Python 3.11")
    import tomllib

    values: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return dict(values["project"])


def names(requirements: list[str]) -> list[str]:
    """Return the distributions of a list of requirements, lower case, `-` for `_`."""
    found = [NAME.match(text) for text in requirements]
    return [match.group().lower().replace("_", "-") for match in found if match]


def test_the_core_has_no_torch_and_is_what_doctor_asks_for() -> None:
    core = names(project()["dependencies"])
    assert set(core) == set(doctor.NEEDED)
    assert not {"torch", "diffusers", "accelerate", "scipy", "jaxtyping"} & set(core)


def test_extras_bring_the_modules_that_the_program_names() -> None:
    extras: dict[str, list[str]] = project()["optional-dependencies"]
    assert set(extras) - {"all", "dev"} == set(EXTRAS)
    for name, extra in EXTRAS.items():
        own = [text for text in extras[name] if not text.startswith("lgt[")]
        modules = {MODULES.get(dist, dist.replace("-", "_")) for dist in names(own)}
        assert modules == set(extra.modules), name
        held = {text for text in extras[name] if text.startswith("lgt[")}
        assert held == {f"lgt[{other}]" for other in extra.holds}, name
    (everything,) = extras["all"]
    assert set(everything.removeprefix("lgt[").removesuffix("]").split(",")) == set(EXTRAS)


def test_constraints_pin_all_that_tests_use() -> None:
    values = project()
    wanted = set(names(values["dependencies"]))
    for requirements in values["optional-dependencies"].values():
        wanted |= set(names(requirements))
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines if "==" in line}
    assert len(wanted) > 30
    assert wanted - {"lgt"} - pinned == set()


def test_what_is_missing_is_named_with_its_command() -> None:
    assert pip_install("video") == "pip install 'lgt[video]'"
    assert missing("av") == "av is not installed: pip install 'lgt[video]'"
    assert missing("torch.nn", "train") == "torch is not installed: pip install 'lgt[train]'"
    assert missing("no_such_module") is None


def test_no_other_place_names_an_extra() -> None:
    checked = 0
    for path in sorted((ROOT / "src").rglob("*.py")):
        if path.name != "extras.py":
            assert "lgt[" not in path.read_text(encoding="utf-8"), f"{path}: use lgt.extras"
            checked += 1
    assert checked > 100
