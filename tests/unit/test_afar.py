"""From afar: works and pictures as they look when they are shrunk, and a descent that sees so."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from toys import dataset, equal_states, gaussians, picture

from lgt import LGTInference
from lgt.build.descent import MOST_AFAR, Demand, build_picture_energy
from lgt.build.energy import works_afar
from lgt.cli.progress import TrainingProgress
from lgt.codec import load_codec
from lgt.data.clips import LatentWorks, PictureWorks
from lgt.data.source_pictures import Squares
from lgt.energy.descent import WINDOW, PictureEnergy, descend, windows_of
from lgt.energy.works import WorksGaussians
from lgt.errors import InputError
from lgt.image import save_image, to_pixels
from lgt.nn.decoded import DecodedFeatures, FromAfar, PictureMaps, shrunk
from lgt.seeds import seeded
from lgt.train.new_style import LearningPlan, Pictures, StyleLearner


def both(num_styles: int = 3) -> WorksGaussians:
    near = gaussians(num_styles)
    afar = WorksGaussians(tuple(2 * m for m in near.means), tuple(3 * c for c in near.covariances))
    return replace(near, afar=afar)


# What is kept of the works


def test_it_is_kept_beside_the_other() -> None:
    kept = both()
    found = WorksGaussians.unpacked(kept.packed())
    assert found.afar is not None and kept.afar is not None
    assert equal_states(found.packed(), kept.packed())
    rows = found.rows([2])
    assert rows.afar is not None
    torch.testing.assert_close(rows.afar.means[0], 2 * rows.means[0])
    blend = found.blended({0: 0.5, 1: 0.5})
    assert blend.afar is not None
    torch.testing.assert_close(blend.afar.covariances[1], 3 * blend.covariances[1])
    joined = kept.joined(both(1))
    assert joined.afar is not None and joined.afar.num_styles == joined.num_styles == 4


def test_a_style_that_has_none_leaves_all_without() -> None:
    assert both().joined(gaussians(1)).afar is None
    assert gaussians().joined(both(1)).afar is None
    assert gaussians().rows([0]).afar is None


def test_what_does_not_belong_together_is_refused() -> None:
    other = {f"afar.{name}": tensor for name, tensor in gaussians(2).packed().items()}
    with pytest.raises(InputError, match="other layers or styles from afar"):
        WorksGaussians.unpacked(gaussians(3).packed() | other)
    with pytest.raises(InputError, match="layer 0 is missing"):
        WorksGaussians.unpacked(other)
    nested = {"afar." * 2000 + name: tensor for name, tensor in gaussians().packed().items()}
    with pytest.raises(InputError, match="from afar of what is from afar"):
        WorksGaussians.unpacked(gaussians().packed() | nested)


# How it is seen


@pytest.mark.parametrize(("size", "expected"), [((640, 853), (256, 336)), ((512, 512), (256, 256))])
def test_pictures_are_shrunk_whole(size: tuple[int, int], expected: tuple[int, int]) -> None:
    image = torch.from_numpy(to_pixels(picture(1, size[::-1])))
    small = shrunk(image)
    assert small.shape[-2:] == expected
    torch.testing.assert_close(small.mean((2, 3)), image.mean((2, 3)), rtol=0, atol=2e-3)
    grain = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    assert shrunk(grain).std() < 0.6 * grain.std(), "grain is averaged, not skipped"
    assert torch.equal(shrunk(image[..., :200, :300]), image[..., :200, :300])


def test_works_are_seen_whole(tmp_path: Path, lgt: LGTInference, features: DecodedFeatures) -> None:
    """Those of small squares, of which a margin is left out, are seen so near by already."""
    files = {}
    for index, name in enumerate(("photo", "paint")):
        path = tmp_path / name / "a.png"
        save_image(picture(index, (512, 512)), path)
        files[name] = [path]
    works = PictureWorks(features.features_of_pictures, files, Squares(512), 256)
    found = works_afar(features, works, 2)
    assert found is not None and found.num_styles == 2
    image = torch.from_numpy(to_pixels(picture(1, (512, 512))))
    assert_means_of(found, features, image)
    assert lgt.config.loss.works_margin == 0.05
    small = replace(works, squares=Squares(280), margin=0.05)
    assert works_afar(features, small, 2) is None

    latents = load_codec("embedded").encode(2 * image - 1)
    rows, styles = torch.cat([latents] * 2), torch.tensor([0, 1])
    hidden = LatentWorks(features.features, rows, styles, 32, scale=8)
    decoded = works_afar(features, hidden, 2)
    assert decoded is not None
    with torch.no_grad():
        assert_means_of(decoded, features, features.pictures(latents))


def test_an_added_style_keeps_how_its_works_look_whole(
    tmp_path: Path, lgt: LGTInference, features: DecodedFeatures
) -> None:
    """It is learned in windows, and its works are larger than these."""
    save_image(picture(0, (512, 512)), tmp_path / "photo.png")
    save_image(picture(1, (512, 512)), tmp_path / "work.png")
    pixels = [torch.from_numpy(to_pixels(picture(i, (256, 256)))) for i in (0, 1)]
    photos, works = (load_codec("embedded").encode(2 * image - 1) for image in pixels)
    levels = (255 * pixels[0]).round().to(torch.uint8)
    pictures = Pictures([tmp_path / "photo.png"], [tmp_path / "work.png"], levels)
    plan = LearningPlan(steps=1, base="monet")
    kept = StyleLearner(LGTInference("embedded", "cpu"), photos, works, plan, pictures).works()
    assert kept is not None
    found = WorksGaussians.unpacked({name: torch.from_numpy(x) for name, x in kept.items()})
    assert found.afar is not None and found.num_styles == found.afar.num_styles == 1
    inner = torch.from_numpy(to_pixels(picture(1, (512, 512))))[..., 25:-25, 25:-25]
    with torch.no_grad():
        layer = FromAfar(features).features_of_pictures(inner[..., :456, :456]).style[1]
    means = F.avg_pool2d(layer.float(), 2).mean((0, 2, 3))
    assert (found.afar.means[1][0] - means).abs().max() < 0.2


def assert_means_of(found: WorksGaussians, features: DecodedFeatures, image: torch.Tensor) -> None:
    """Compare a layer's means with those of the picture at half its size, and not at all of it."""

    def means(seen: torch.Tensor) -> torch.Tensor:
        layer = features.features_of_pictures(seen).style[2]
        return F.avg_pool2d(layer.float(), 2).mean((0, 2, 3))

    halved, full = means(F.avg_pool2d(image, 2)), means(image)
    assert (found.means[2][1] - halved).abs().max() < 0.3
    assert (found.means[2][1] - full).abs().max() > 0.6


# A descent that sees it


def energy_of(
    lgt: LGTInference,
    features: DecodedFeatures,
    size: tuple[int, int],
    *,
    sees: bool = True,
    seed: int = 5,
    **options: Any,
) -> tuple[PictureEnergy, torch.Tensor]:
    """Return the energy of a picture in ukiyoe, and its source."""
    assert lgt.works is not None and lgt.works.afar is not None
    works = lgt.works if sees else replace(lgt.works, afar=None)
    pixels = torch.from_numpy(to_pixels(picture(seed, size[::-1])))
    style, origin = works.rows([lgt.style_id("ukiyoe")]), works.rows([0])
    energy = build_picture_energy(
        lgt.config, features, style, origin, pixels, detail=0.35, **options
    )
    return energy, load_codec("embedded").encode(2 * pixels - 1)


def told(energy: PictureEnergy, x_src: torch.Tensor) -> float:
    """Return the energy of a source that stays as it is."""
    return float(energy.learn(x_src.clone().requires_grad_(), x_src, seeded(0)))


def test_it_comes_nearer_to_the_works_from_afar(
    lgt: LGTInference, features: DecodedFeatures
) -> None:
    assert lgt.works is not None and lgt.works.afar is not None
    size, row = (384, 400), lgt.style_id("ukiyoe")
    ends = []
    for sees in (True, False):
        energy, x_src = energy_of(lgt, features, size, sees=sees)
        ends.append(descend(energy, x_src, x_src, 6, generator=seeded(0)))

    def distance(x: torch.Tensor) -> float:
        """Return that of means, which the energy knows and does not ask for alone."""
        assert lgt.works is not None and lgt.works.afar is not None
        with torch.no_grad():
            maps = FromAfar(features).features(x).style
        means = [F.avg_pool2d(m.float(), 2).mean((0, 2, 3)) for m in (maps[1], maps[2])]
        wanted = lgt.works.afar.means[1][row], lgt.works.afar.means[2][row]
        return sum(float((a - b).square().sum()) for a, b in zip(means, wanted, strict=True))

    assert distance(ends[0]) < 0.8 * distance(ends[1])


def test_small_pictures_and_older_models_are_seen_near_by(
    lgt: LGTInference, features: DecodedFeatures
) -> None:
    for size, sees, count in (
        ((256, 400), True, 1),
        ((384, 400), True, 2),
        ((384, 400), False, 1),
    ):
        energy, _ = energy_of(lgt, features, size, sees=sees)
        assert len(energy.sights) == count


def test_what_is_seen_at_once_is_bounded(lgt: LGTInference, features: DecodedFeatures) -> None:
    energy, _ = energy_of(lgt, features, (1104, 2400))
    near, afar = energy.sights
    assert (near.window, afar.window) == (WINDOW, MOST_AFAR)
    assert near.batch * near.window**2 <= 4 * WINDOW**2 and afar.batch == 1
    assert len(windows_of(138, 300, torch.Generator(), side=afar.window)) == 2


FOUR = {"near": Demand(content=8.0, pictures=4)}
"""Of which near by the last ones are compared together."""


def test_pictures_taken_together_share_their_moments(
    lgt: LGTInference, features: DecodedFeatures
) -> None:
    """What a second picture is told depends on the first, and the same after a stop."""
    size = (264, 264)
    first, x_src = energy_of(lgt, features, size, **FOUR)
    told(first, x_src)
    kept = copy.deepcopy(first.state_dict())
    second, other = energy_of(lgt, features, size, seed=6, after=first, **FOUR)
    together = told(second, other)
    resumed, _ = energy_of(lgt, features, size, seed=6, **FOUR)
    resumed.load_state_dict(kept)
    assert told(resumed, other) == together
    alone, _ = energy_of(lgt, features, size, seed=6, **FOUR)
    assert told(alone, other) != together


def test_a_picture_is_compared_alone_where_one_is_asked_for(
    lgt: LGTInference, features: DecodedFeatures
) -> None:
    """From afar what came before is forgotten, though near by it is not."""
    size = (384, 384)
    first, x_src = energy_of(lgt, features, size, **FOUR)
    told(first, x_src)
    second, other = energy_of(lgt, features, size, seed=6, after=first, **FOUR)
    alone, _ = energy_of(lgt, features, size, seed=6, **FOUR)
    found = [
        [told(PictureEnergy([sight]), other) for sight in energy.sights]
        for energy in (second, alone)
    ]
    assert found[0][0] != found[1][0] and found[0][1] == found[1][1]


def test_a_part_is_shrunk_as_the_whole_would_be(
    lgt: LGTInference, features: DecodedFeatures
) -> None:
    energy, _ = energy_of(lgt, features, (512, 512), whole=640)
    look = energy.sights[1].energy.look
    assert look.features is not None
    with torch.no_grad():
        seen = look.features(torch.zeros(1, 4, 64, 64))
    assert isinstance(seen, PictureMaps)
    assert seen.images.shape[-1] == 208, "4 / 5 of 256, in multiples of 16"


def test_both_looks_at_the_works_show_a_bar(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = TrainingProgress(dataset(), tmp_path)
    for _ in range(2):
        shown.measured(4, 9)
        shown.measured(9, 9)
    assert capsys.readouterr().err.count("9/9") == 2
