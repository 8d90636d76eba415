"""The processor's name, from what Linux says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lgt.processor import processor_name

FLAGS = "fpu avx2 avx512f amx_bf16"
X86 = f"processor : 0\nmodel : 85\nmodel name : Some CPU @ 2 GHz\nflags : {FLAGS}\n"
ARM = "processor : 0\nFeatures : fp asimd bf16\n\nModel : Board 5\n"


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        (X86, "Some CPU @ 2 GHz (avx2, avx512f, amx_bf16)"),
        (X86 + X86.replace("Some", "Other"), "Some CPU @ 2 GHz (avx2, avx512f, amx_bf16)"),
        (ARM, "Board 5 (asimd, bf16)"),
        ("model name : Plain\n", "Plain"),
    ],
)
def test_name_and_formats(info: str, expected: str, tmp_path: Path) -> None:
    place = tmp_path / "cpuinfo"
    place.write_text(info)
    assert processor_name(place) == expected


def test_something_is_said_of_other_systems(tmp_path: Path) -> None:
    assert processor_name(tmp_path / "missing")
