"""ST-LPIPS: the published network, from its weights alone."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lgt.errors import InputError
from lgt.metrics.external import load_external
from lgt.metrics.shift_tolerant import CHANNELS, KERNELS, LAYERS, PACKAGE, ShiftTolerantLPIPS


def weights() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    found = {"scaling_layer.shift": torch.zeros(1, 3, 1, 1)}
    found["scaling_layer.scale"] = torch.ones(1, 3, 1, 1)
    sizes = zip((3, *CHANNELS[:-1]), CHANNELS, KERNELS, LAYERS, strict=True)
    for index, (before, after, kernel, layer) in enumerate(sizes):
        shape = (after, before, kernel, kernel)
        weight = torch.randn(shape, generator=generator) / (before * kernel**2) ** 0.5
        found[f"net.{layer}.weight"], found[f"net.{layer}.bias"] = weight, torch.zeros(after)
        found[f"lin{index}.model.1.weight"] = torch.ones(1, after, 1, 1) / after
    return found


def test_a_distance() -> None:
    network = ShiftTolerantLPIPS(weights()).eval()
    a, b = torch.rand(2, 2, 3, 64, 48, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert network(a, a).tolist() == [0.0, 0.0]
        assert torch.equal(network(a, b), network(b, a))
        assert torch.allclose(network(a, b)[:1], network(a[:1], b[:1]))
        near = network(a, (a + 0.02 * b).clamp(0, 1))
        assert bool((near > 0).all() and (near < network(a, b)).all())


def test_its_package_is_read_and_never_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / PACKAGE
    (folder / "weights" / "vST0.0").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    torch.save(weights(), folder / "weights" / "vST0.0" / "alex_shift_tolerant.pth")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    metric = load_external("st-lpips")
    black = torch.zeros(9, 3, 64, 64, dtype=torch.uint8)
    noise = torch.randint(256, black.shape, dtype=torch.uint8)
    assert metric(black, black, black) == 0
    assert metric(black, noise, black) > 0
    monkeypatch.setattr("lgt.metrics.shift_tolerant.find_spec", lambda _: None)
    with pytest.raises(InputError, match="pip install 'stlpips-pytorch'"):
        load_external("st-lpips")


@pytest.mark.skipif(find_spec(PACKAGE) is None, reason="stlpips-pytorch is not installed")
def test_published_weights() -> None:
    """The package's own program gives this number; it needs torchvision to say so."""
    torch.manual_seed(0)
    a, b = torch.rand(3, 3, 96, 120), torch.rand(3, 3, 96, 120)
    with torch.no_grad():
        assert float(ShiftTolerantLPIPS.load()(a, b)[0]) == pytest.approx(0.0388, abs=1e-4)
