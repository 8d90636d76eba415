"""Energies are float32 whatever the caller allows: autocast, and TF32 on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pretended import pretended_gpu
from torch import Generator, Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from toys import free_energy

from lgt import exact
from lgt.energy import (
    Collection,
    FreeEnergy,
    PatchSWD,
    SelfSimilarity,
    StyleBands,
    StyleBank,
    cosine_self_similarity,
    project_patches,
    self_similarity_distance_sq,
    sliced_wasserstein_sq,
)
from lgt.image.edges import edge_map, gradient_magnitude
from lgt.nn.perceptual import FeatureMaps

SIDE = 16


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def look(x: Tensor) -> FeatureMaps:
    """Return two branches of two layers, and edges, without a product of the network's own."""
    first, second = F.pixel_unshuffle(x, 2), F.avg_pool2d(x, 4)
    maps = [first, second, first.abs(), second.abs()]
    edges = edge_map(x[:, :3])
    return FeatureMaps(maps, [second], edges, edges, gradient_magnitude(x[:, :3]))


def everything(device: str = "cpu") -> FreeEnergy:
    """Build a free energy with every term."""
    latents = torch.randn(12, 4, SIDE, SIDE, generator=seeded(1)).to(device)
    ids = torch.arange(12) % 2
    bank = StyleBank(latents + ids.to(device).reshape(-1, 1, 1, 1), ids, 2)
    gains = "feature", "collection", "discriminant", "recognition", "feature_content", "edge"
    energy = free_energy(
        bank,
        look,
        **{f"{gain}_gain": 1.0 for gain in (*gains, "outline", "clutter")},
        collection_memory=2,
        num_projections=16,
        max_positions=20,
    )
    collection = energy.term(Collection)
    assert collection is not None
    collection.distance.to(device)
    return energy


def energy_of(energy: FreeEnergy, x_1: Tensor) -> dict[str, Tensor]:
    index, bands = torch.arange(len(x_1)), energy.term(StyleBands)
    assert bands is not None
    terms = energy(
        x_1,
        bands.bank.latents[index.to(x_1.device)],
        1 - bands.bank.style_ids[index],
        bands.bank.style_ids[index],
        index,
        generator=seeded(7),
    )
    return terms.as_dict()


Cloud = Callable[[Tensor], Tensor]

ALONE: dict[str, Cloud] = {
    "sliced_wasserstein_sq": lambda x: sliced_wasserstein_sq(
        x[0].flatten(1).T, x[1].flatten(1).T, generator=seeded()
    ),
    "cosine_self_similarity": lambda x: cosine_self_similarity(x.flatten(2)),
    "self_similarity_distance_sq, few positions": lambda x: self_similarity_distance_sq(
        x[:4].flatten(2), x[4:8].flatten(2)
    ),
    "self_similarity_distance_sq, many": lambda x: self_similarity_distance_sq(
        x[:4].flatten(2).mT, x[4:8].flatten(2).mT
    ),
    "project_patches": lambda x: project_patches(x, torch.eye(36), 3),
    "PatchSWD": lambda x: PatchSWD(patch_size=3)(x[:4, None], x[None, 4:], seeded()),
    "PatchSWD, whitened": lambda x: PatchSWD(
        patch_size=3, transform=torch.randn(36, 36, generator=seeded(3))
    )(x[:4, None], x[None, 4:], seeded()),
    "SelfSimilarity": lambda x: SelfSimilarity(patch_size=3)(x[:4], x[4:8]),
    "edge_map": lambda x: edge_map(x[:, :3]),
}


@pytest.mark.parametrize("name", ALONE)
def test_each_energy_alone_is_float32_under_autocast(name: str) -> None:
    """The bits of what it gives without autocast, and of the gradient; float32 of bfloat16."""
    found: list[tuple[Tensor, Tensor]] = []
    for is_reduced in (False, True):
        x = torch.randn(8, 4, SIDE, SIDE, generator=seeded(2)).requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_reduced):
            value = ALONE[name](x)
        value.square().sum().backward()
        assert x.grad is not None
        found.append((value, x.grad))
    for plain, reduced in zip(*found, strict=True):
        assert reduced.dtype == torch.float32
        assert torch.equal(plain, reduced)
    if name not in ("project_patches", "edge_map"):
        assert ALONE[name](x.detach().bfloat16()).dtype == torch.float32


def test_every_term_is_float32_under_autocast() -> None:
    """All terms of the free energy, its measures of the works and its memory: the same bits."""
    found = []
    for is_reduced in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_reduced):
            energy = everything()
            for seed in (2, 3, 4):
                x_1 = torch.randn(6, 4, SIDE, SIDE, generator=seeded(seed)).requires_grad_()
                terms = energy_of(energy, x_1)
        (gradient,) = torch.autograd.grad(terms["total"], x_1)
        found.append(terms | {"gradient": gradient})
    zero = {name for name, value in found[0].items() if not value.any()}
    assert not zero and len(found[0]) > 12, "every term is there to be compared"
    for name, value in found[1].items():
        assert value.dtype == torch.float32, name
        assert torch.equal(value, found[0][name]), name


PRODUCTS = {
    f"aten::{name}"
    for name in ("mm", "bmm", "addmm", "matmul", "convolution", "convolution_backward")
}


class Flags(TorchDispatchMode):
    """Notes what products and convolutions of float32 are computed in."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, str]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name
        if name in PRODUCTS and args[0].dtype == torch.float32:
            is_convolution = "convolution" in name
            self.seen.append((name, precisions()[0 if is_convolution else 1]))
        return func(*args, **(kwargs or {}))


def precisions() -> tuple[str, str]:
    """Return the precision of convolutions and of products, as PyTorch 2.9 and later name it."""
    backends: Any = torch.backends
    if hasattr(backends.cudnn, "conv"):
        return backends.cudnn.conv.fp32_precision, backends.cuda.matmul.fp32_precision
    names = {True: "tf32", False: "ieee"}
    return names[backends.cudnn.allow_tf32], names[backends.cuda.matmul.allow_tf32]


def test_a_gpu_uses_no_tf32_inside_the_energy() -> None:
    """Forward and backward, also where the program allows it; what was set is there again."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        assert precisions() == ("tf32", "tf32")
        with pretended_gpu(), Flags() as flags:
            energy = everything("cuda")
            for seed in (2, 3, 4):
                x_1 = torch.randn(6, 4, SIDE, SIDE, generator=seeded(seed)).to("cuda")
                x_1.requires_grad_()
                terms = energy_of(energy, x_1)
                assert precisions() == ("tf32", "tf32")
            forward = len(flags.seen)
            terms["total"].backward()
            assert x_1.grad is not None
        assert precisions() == ("tf32", "tf32")
        assert forward > 100
        assert {name for name, _ in flags.seen[forward:]} >= {
            "aten::bmm",
            "aten::mm",
            "aten::convolution_backward",
        }
        assert {flag for _, flag in flags.seen} == {"ieee"}
    finally:
        torch.set_float32_matmul_precision(before)


def test_the_gpu_computes_the_same_energy() -> None:
    """Its own path of products, sorts and gradients gives what the CPU's gives."""
    x_1 = torch.randn(6, 4, SIDE, SIDE, generator=seeded(2))
    plain = x_1.clone().requires_grad_()
    wanted = energy_of(everything(), plain)
    (slope,) = torch.autograd.grad(wanted["total"], plain)
    with pretended_gpu():
        there = x_1.to("cuda").requires_grad_()
        found = energy_of(everything("cuda"), there)
        (other,) = torch.autograd.grad(found["total"], there)
        assert all(value.is_cuda for name, value in found.items() if wanted[name].any())
        moved = {name: value.cpu() for name, value in found.items()}
        other = other.cpu()
    for name, value in wanted.items():
        torch.testing.assert_close(moved[name], value, msg=lambda text, name=name: name + text)
    torch.testing.assert_close(other, slope, rtol=1e-4, atol=1e-6)


def test_the_older_names_are_set_and_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch before 2.9 has one flag for cuDNN and one for cuBLAS."""
    old = SimpleNamespace(
        cudnn=SimpleNamespace(allow_tf32=True),
        cuda=SimpleNamespace(matmul=SimpleNamespace(allow_tf32=True)),
    )
    monkeypatch.setattr(exact, "torch", SimpleNamespace(backends=old))
    with pytest.raises(KeyError), exact.without_tf32():
        assert (old.cudnn.allow_tf32, old.cuda.matmul.allow_tf32) == (False, False)
        raise KeyError
    assert (old.cudnn.allow_tf32, old.cuda.matmul.allow_tf32) == (True, True)


def test_gradients_of_the_gpu_path_are_those_of_the_plain_operations() -> None:
    """Matrices alone, in batches, and one with a batch; dilated convolutions."""
    options = {"generator": seeded(), "dtype": torch.float64, "requires_grad": True}
    shapes = [((3, 4), (4, 5)), ((2, 3, 4), (2, 4, 5)), ((3, 4), (2, 4, 5)), ((2, 3, 4), (4, 5))]
    for left, right in shapes:
        pair = torch.randn(left, **options), torch.randn(right, **options)
        assert torch.autograd.gradcheck(exact._Matmul.apply, pair)
    x, kernels = torch.randn(2, 3, 9, 8, **options), torch.randn(4, 3, 3, 3, **options)
    for dilation in (1, 2):
        assert torch.autograd.gradcheck(
            lambda x, dilation=dilation: exact._Conv2d.apply(x, kernels.detach(), dilation), (x,)
        )
