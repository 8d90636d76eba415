"""Learned steps: what they are, what they are told, and how far they go down the energy."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from skimage import data
from torch import Tensor

from lgt import LGTInference
from lgt.build.descent import build_energy_from_afar, build_picture_energy
from lgt.build.networks import build_learned_step
from lgt.codec import load_codec
from lgt.energy.descent import PictureEnergy, descend, stride
from lgt.energy.works import WorksGaussians
from lgt.errors import InputError
from lgt.image import to_pixels
from lgt.nn.decoded import DecodedFeatures
from lgt.nn.learned_step import LearnedStep, load_learned_step
from lgt.nn.packaged import CONFIG_NAME, WEIGHTS_NAME, write_network
from lgt.paint import refine
from lgt.seeds import seeded


def photo_of(width: int, height: int) -> Tensor:
    """Return a face, as a picture of that size."""
    face = Image.fromarray(data.astronaut()).resize((width, height))
    return torch.from_numpy(to_pixels(face))


Given = tuple[Any, DecodedFeatures, WorksGaussians, WorksGaussians, Tensor]


def given(lgt: LGTInference, features: DecodedFeatures, style: str, photo: Tensor) -> Given:
    """Return what an energy is built from."""
    assert lgt.works is not None
    rows = lgt.works.rows([lgt.style_id(style)]), lgt.works.rows([0])
    return lgt.config, features, *rows, photo


# The network


def test_it_begins_as_nothing_and_is_told_how_steep_it_is() -> None:
    torch.manual_seed(0)
    step = LearnedStep(width=16, num_blocks=2)
    x_src, x, gradient = (torch.randn(2, 4, 12, 9) for _ in range(3))
    assert not step(x_src, x, gradient).any()
    torch.nn.init.normal_(step.conv_out.weight)
    change = step(x_src, x, gradient)
    assert change.shape == x.shape
    assert not torch.allclose(change, step(x_src, x, 9 * gradient)), "steeper"
    assert not torch.allclose(change, step(x_src, x, gradient.flip(-1))), "another way"
    assert step(x_src, x, torch.zeros_like(x)).isfinite().all()


def test_a_larger_picture_is_not_steeper() -> None:
    """The energy is a mean over the picture, so its gradient falls with the area."""
    torch.manual_seed(0)
    step = LearnedStep(width=16, num_blocks=0)
    torch.nn.init.normal_(step.conv_out.weight)
    x_src, x, gradient = (torch.randn(1, 4, 8, 8) for _ in range(3))
    wide = [z.repeat(1, 1, 1, 2) for z in (x_src, x, gradient / 2)]
    torch.testing.assert_close(step(*wide)[..., 2:6], step(x_src, x, gradient)[..., 2:6])


def test_the_package_has_one_for_what_its_model_looks_with(lgt: LGTInference) -> None:
    step = build_learned_step(lgt.config)
    assert step is not None and not any(p.requires_grad for p in step.parameters())
    loss = lgt.config.loss
    for change in ({"backbones": ["efficientnet-lite0"]}, {"perceptual_network": "auto"}):
        other = lgt.config.model_copy(update={"loss": loss.model_copy(update=change)})
        assert build_learned_step(other) is None


def test_a_folder_that_holds_none_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"learned step: no config\.json in .*teach_learned_step"):
        load_learned_step(tmp_path)
    step = LearnedStep(width=8, num_blocks=1, backbones=("a", "b"))
    write_network(tmp_path, step.sizes, step.state_dict())
    found = load_learned_step(tmp_path)
    assert found.backbones == ("a", "b") and found.sizes == step.sizes
    for damage in ({"width": 16}, {"width": "x"}, {"backbones": None}):
        (tmp_path / CONFIG_NAME).write_text(json.dumps(step.sizes | damage))
        with pytest.raises(InputError, match="damaged"):
            load_learned_step(tmp_path)
    (tmp_path / CONFIG_NAME).write_text(json.dumps(step.sizes))
    (tmp_path / WEIGHTS_NAME).write_bytes(b"x")
    with pytest.raises(InputError, match="damaged"):
        load_learned_step(tmp_path)


# What it is told


def test_it_is_told_of_all_of_the_picture_as_it_is(
    lgt: LGTInference, features: DecodedFeatures
) -> None:
    photo = photo_of(512, 280)
    x_src = load_codec("embedded").encode(2 * photo - 1)
    energy = build_energy_from_afar(*given(lgt, features, "monet", photo), detail=0.35)
    assert energy is not None

    def gradient(x: Tensor) -> Tensor:
        at = x.clone().requires_grad_()
        energy.learn(at, x_src, seeded(0))
        assert at.grad is not None
        return at.grad

    first = gradient(x_src)
    assert first.shape[-2:] == (35, 64)
    assert all(part.abs().mean() > 0.1 * first.abs().mean() for part in first.split(8, -1))
    gradient(x_src + 1)
    assert torch.equal(gradient(x_src), first), "what was before is forgotten"


def test_its_source_is_seen_once(
    lgt: LGTInference, features: DecodedFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, seen = photo_of(264, 264), list[int]()
    x_src = load_codec("embedded").encode(2 * photo - 1)
    pictures = features.pictures
    monkeypatch.setattr(features, "pictures", lambda x: seen.append(1) or pictures(x))
    energy = build_energy_from_afar(*given(lgt, features, "monet", photo), detail=0.35)
    assert energy is not None
    stride(energy, lambda _, x, __: 0 * x, x_src, x_src, 3, generator=seeded(0))
    assert len(seen) == 3 + 1


@pytest.mark.parametrize("size", [(256, 400), (400, 256), (1400, 1520), (272, 1096)])
def test_small_pictures_vast_ones_and_strips_have_none(
    lgt: LGTInference, features: DecodedFeatures, size: tuple[int, int]
) -> None:
    photo = photo_of(*size)
    found = given(lgt, features, "monet", photo)
    assert build_energy_from_afar(*found, detail=0.35) is None


def test_works_that_were_seen_near_by_alone_have_none(
    lgt: LGTInference, features: DecodedFeatures
) -> None:
    config, _, style, origin, photo = given(lgt, features, "monet", photo_of(300, 300))
    bare = replace(style, afar=None)
    assert build_energy_from_afar(config, features, bare, origin, photo, detail=0.0) is None


# How far it goes


@pytest.mark.parametrize("style", ["vangogh", "ukiyoe"])
def test_three_go_further_than_three_of_an_optimizer(
    lgt: LGTInference, features: DecodedFeatures, style: str
) -> None:
    photo, number = photo_of(384, 400), lgt.style_id(style)
    x_src = load_codec("embedded").encode(2 * photo - 1)
    begun = lgt.transfer_style(x_src, "photo", number, seed=0)
    found, step = given(lgt, features, style, photo), build_learned_step(lgt.config)
    afar = build_energy_from_afar(*found, detail=0.35)
    assert afar is not None and step is not None
    ends = [
        stride(afar, step, begun, x_src, step.num_strides, generator=seeded(0)),
        descend(
            build_picture_energy(*found, detail=0.35),
            begun,
            x_src,
            step.num_strides,
            generator=seeded(0),
        ),
        begun,
    ]

    def energies(x: Tensor) -> list[float]:
        """Return the energy that refining descends, near by and from afar, by fresh eyes."""
        sights = build_picture_energy(*found, detail=0.35).sights
        at = x.clone().requires_grad_()
        return [float(PictureEnergy([sight]).learn(at, x_src, seeded(1))) for sight in sights]

    further = build_picture_energy(*found, detail=0.35)
    ends.append(descend(further, ends[0], x_src, 1, generator=seeded(0), is_near=True))
    learned, optimized, start, one_more = map(energies, ends)
    assert sum(one_more) < sum(learned), "an optimizer that goes on does not lead away"
    assert sum(learned) < sum(optimized), (learned, optimized)
    assert all(a < 0.9 * b for a, b in zip(learned, start, strict=True)), (learned, start)


@pytest.mark.parametrize(("steps", "expected"), [(1, (1, 0)), (3, (3, 0)), (5, (3, 2))])
def test_an_optimizer_goes_on_where_they_end(
    lgt: LGTInference,
    monkeypatch: pytest.MonkeyPatch,
    steps: int,
    expected: tuple[int, int],
) -> None:
    taken, told = [0, 0], list[float]()

    def spy(index: int, function: Any) -> Any:
        def called(*given: Any, **options: Any) -> Any:
            count = next(g for g in given if isinstance(g, int))
            taken[index] = count
            return function(*given, **options)

        return called

    monkeypatch.setattr(refine, "stride", spy(0, stride))
    monkeypatch.setattr(refine, "descend", spy(1, descend))
    face = Image.fromarray(data.astronaut()).resize((264, 264))
    lgt.stylize(
        face, "monet", codec=load_codec("embedded"), seed=0, refine=steps, progress=told.append
    )
    assert tuple(taken) == expected
    assert told == sorted(told) and told[-1] == 1


def test_blends_and_shares_of_the_way_take_them(lgt: LGTInference) -> None:
    """Through the product: each weight and each strength has its own picture, the seed decides."""
    face, codec = Image.fromarray(data.astronaut()).resize((272, 264)), load_codec("embedded")

    def painted(style: Any, **options: Any) -> Tensor:
        image = lgt.stylize(face, style, codec=codec, seed=0, refine=2, **options)
        return torch.from_numpy(to_pixels(image))

    blend = {"vangogh": 0.5, "ukiyoe": 0.5}
    whole, source = painted(blend), torch.from_numpy(to_pixels(face))
    assert torch.equal(painted(blend), whole)
    assert all((painted(style) - whole).abs().mean() > 0.01 for style in blend)
    half = painted(blend, strength=0.5)
    assert (half - source).abs().mean() < 0.8 * (whole - source).abs().mean()
