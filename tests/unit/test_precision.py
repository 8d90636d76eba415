"""`--precision auto`: bfloat16 where that saves time, and the same picture."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scenes import picture

from lgt import doctor
from lgt.batch.spread import _Painting, stylize_on_ray
from lgt.cluster import Spread, Stages
from lgt.device import usual_precision
from lgt.paint.painter import Painter
from lgt.paint.recipe import Recipe
from lgt.runtime.open import Wish, open_engine

QUICK = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")


@pytest.mark.parametrize(
    ("torch_says", "amx", "avx512", "expected"),
    [
        (True, True, False, "bf16"),
        (True, False, True, "bf16"),
        (True, False, False, "fp32"),  # By way of float32.
        (False, True, True, "fp32"),
    ],
)
def test_a_processor_needs_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, torch_says: bool, amx: bool, avx512: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: torch_says)
    for name, has in zip(QUICK, (amx, avx512), strict=True):
        monkeypatch.setattr(torch.cpu, name, lambda has=has: has, raising=False)
    assert usual_precision("cpu") == expected


@pytest.mark.parametrize(("generation", "expected"), [(7, "fp32"), (8, "bf16"), (9, "bf16")])
def test_so_does_a_gpu(monkeypatch: pytest.MonkeyPatch, generation: int, expected: str) -> None:
    """Torch says yes of older ones, which imitate it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    generations = {0: 9, 1: generation}
    monkeypatch.setattr(
        torch.cuda,
        "get_device_properties",
        lambda device: SimpleNamespace(major=generations[torch.device(device).index or 0]),
    )
    assert usual_precision("cuda:1") == expected
    assert usual_precision("cuda") == "bf16"


def test_releases_that_do_not_tell_stay_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in QUICK:
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert usual_precision("cpu") == "fp32"


@pytest.mark.parametrize("usual", ["bf16", "fp32"])
def test_torch_takes_it_and_paints_the_same(monkeypatch: pytest.MonkeyPatch, usual: str) -> None:
    monkeypatch.setattr("lgt.device.usual_precision", lambda _: usual)
    photo, found = picture(96, 72), []
    for precision in ("auto", "fp32"):
        engine = open_engine(Wish(backend="torch", device="cpu", precision=precision))
        assert engine.facts.precision == (usual if precision == "auto" else precision)
        painted = Painter(engine).paint(photo, Recipe(style={"vangogh": 1.0}))
        found.append(np.asarray(painted, np.float32))
    assert np.abs(found[0] - found[1]).mean() < 2
    assert np.array_equal(*found) == (usual == "fp32")


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_other_machines_compute_as_the_one_that_asks_would(
    monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    """What is there is compared with what this one expects: else all is painted at every run."""
    wish = Wish(backend="torch", device="cpu")
    painter = Painter(open_engine(replace(wish, precision=precision)))
    found: list[str] = []

    def through(rows: object, stages: Stages, spread: Spread) -> list[object]:
        assert isinstance(stages.make, _Painting)
        found.append(stages.make.wish.precision)
        return []

    monkeypatch.setattr("lgt.batch.spread.through", through)
    assert not list(
        stylize_on_ray(painter, wish, [], {"a": Recipe(style={"vangogh": 1.0})}, Spread())
    )
    assert found == [precision]


def test_the_doctor_says_what_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a device that is refused, which it says elsewhere, nothing else is broken."""
    monkeypatch.setattr("lgt.device.usual_precision", lambda _: "bf16")
    monkeypatch.setattr("lgt.runtime.engines.GPU_SIGNS", ("/",))
    for device in ("auto", "nosuch"):
        (backend,), (bf16,) = doctor._backend(device), doctor._bf16(device)
        assert "lgt transfer takes torch in bf16" in backend.text
        assert bf16.status == "ok" and "which --precision auto takes" in bf16.text
