"""The learned distance: it finds what outputs and works differ in, and pulls that way."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor
from toys import (
    WITH_FEATURES,
    Recorder,
    config,
    dataset,
    equal_states,
    stopped_after,
    trainer,
)

from lgt.data import clips
from lgt.data.clips import BATCH, ROUNDS, LatentWorks, PictureWorks, pictures_in
from lgt.data.source_pictures import Squares
from lgt.energy import CriticDistance
from lgt.energy.critic import RAMP_STEPS, REMEMBERED
from lgt.errors import InputError
from lgt.image import save_image, to_image
from lgt.nn.perceptual import FeatureMaps
from lgt.train import Checkpoint

TARGETS = torch.tensor([0, 1, 0, 1])


def maps_of(count: int, generator: Generator, shift: float = 0.0) -> list[Tensor]:
    """Return noise of two depths, with a mean."""
    return [
        torch.randn(count, channels, side, side, generator=generator) + shift
        for channels, side in ((3, 6), (5, 3))
    ]


def works(labels: Tensor, generator: Generator) -> list[Tensor]:
    """Draw works: those of style 1 are shifted by 1."""
    rows = [maps_of(1, generator, float(label)) for label in labels]
    return [torch.cat(layer) for layer in zip(*rows, strict=True)]


def critic(seed: int = 0) -> CriticDistance:
    return CriticDistance(works, num_styles=2, num_works=8, seed=seed)


def copies(generator: Generator) -> list[Tensor]:
    """Return outputs that are like works."""
    return works(TARGETS, generator)


def flat(generator: Generator) -> list[Tensor]:
    """Return outputs that are alike for both styles, below the works of both."""
    return maps_of(len(TARGETS), generator, -0.5)


def trained(
    distance: CriticDistance, outputs: Callable[[Generator], list[Tensor]], steps: int = 160
) -> list[float]:
    generator = Generator().manual_seed(1)
    return [float(distance(outputs(generator), TARGETS)) for _ in range(steps)]


def test_outputs_unlike_the_works_are_far_and_like_them_near() -> None:
    far, near = trained(critic(), flat), trained(critic(), copies)
    assert abs(far[0]) < 0.05, "a new critic knows nothing, and counts for nothing"
    assert sum(far[-50:]) / 50 > max(0.7, sum(near[-50:]) / 50 + 0.3)


def test_its_scores_tell_apart_what_differs_and_nothing_else() -> None:
    def gap(outputs: Callable[[Generator], list[Tensor]]) -> float:
        distance, generator = critic(), Generator().manual_seed(3)
        trained(distance, outputs)
        rows = torch.arange(len(TARGETS))
        means = []
        for head, real, made in zip(
            distance.heads, works(TARGETS, generator), outputs(generator), strict=True
        ):
            own = rows, 0, TARGETS
            means.append(head(real)[own].mean() - head(made)[own].mean())
        return float(torch.stack(means).mean())

    assert gap(flat) > 1.0
    assert abs(gap(copies)) < 0.4


def test_its_gradient_leads_to_the_works() -> None:
    distance = critic()
    trained(distance, flat)
    maps = [m.requires_grad_() for m in flat(Generator().manual_seed(2))]
    distance(maps, TARGETS).backward()
    for layer in maps:
        assert layer.grad is not None
        assert float(layer.grad.mean()) < 0, "larger values lower the distance"
    assert all(p.grad is None for p in distance.heads.parameters()), "learned from nothing else"


def test_a_state_goes_on_as_if_nothing_had_happened() -> None:
    whole, first, second = critic(), critic(), critic(seed=0)
    expected = trained(whole, flat, 12)
    generator = Generator().manual_seed(1)
    seen = [float(first(flat(generator), TARGETS)) for _ in range(5)]
    second.load_state_dict(first.state_dict())
    seen += [float(second(flat(generator), TARGETS)) for _ in range(7)]
    assert seen == expected
    assert equal_states(whole.heads.state_dict(), second.heads.state_dict())


def test_an_evaluation_changes_nothing() -> None:
    distance = critic()
    trained(distance, flat, 5)
    before = copy.deepcopy(distance.state_dict())
    maps = flat(Generator().manual_seed(4))
    with torch.no_grad():
        seen = [float(distance(maps, TARGETS)) for _ in range(2)]
    assert seen[0] == seen[1] != 0
    assert equal_states(before["heads"], distance.heads.state_dict())
    assert distance.age == 5


def test_a_batch_without_outputs_is_a_step_all_the_same() -> None:
    """Else one of several processes would wait for gradients that the others never send."""
    distance = critic()
    before = copy.deepcopy(distance.heads.state_dict())
    assert float(distance(None, torch.empty(0, dtype=torch.int64))) == 0
    assert distance.age == 1
    assert not equal_states(before, distance.heads.state_dict())


def test_each_step_draws_a_quarter_of_its_works() -> None:
    drawn: list[int] = []

    def counted(labels: Tensor, generator: Generator) -> list[Tensor]:
        drawn.append(len(labels))
        return works(labels, generator)

    distance = CriticDistance(counted, num_styles=2, num_works=8)
    assert drawn == [2] * REMEMBERED
    trained(distance, flat, 3)
    assert drawn == [2] * (REMEMBERED + 2), "the first step has them already"


def test_it_counts_in_full_only_after_a_while() -> None:
    assert RAMP_STEPS > 10
    distance = critic()
    late = trained(distance, flat, RAMP_STEPS + 40)[-1]
    distance.age = RAMP_STEPS // 2 - 1
    generator = Generator().manual_seed(9)
    half = float(distance(flat(generator), TARGETS))
    assert 0.25 * late < half < 0.75 * late


def test_a_run_with_critics_resumes_exactly(tmp_path: Path) -> None:
    changes = {**WITH_FEATURES, "loss.critic_gain": 1.0}
    whole = trainer(config(changes, checkpoint__save_dir=str(tmp_path / "whole")))
    whole.run()
    settings = config(changes, checkpoint__save_dir=str(tmp_path / "parts"))
    stopped_after(4, settings)
    start = Checkpoint.load(tmp_path / "parts" / "interrupted.pt")
    assert start.critic is not None and start.critic["age"] == 4
    resumed = trainer(settings, checkpoint=start)
    resumed.run()
    assert equal_states(whole.network.state_dict(), resumed.network.state_dict())
    ours, theirs = (run._memory("critic").state_dict() for run in (whole, resumed))
    assert ours["age"] == 6 and equal_states(ours, theirs)


def look(images: Tensor) -> FeatureMaps:
    return FeatureMaps([images], [])


def test_latents_are_drawn_of_the_styles_that_are_asked_for() -> None:
    latents = torch.arange(6.0).reshape(6, 1, 1, 1).expand(6, 1, 8, 8).contiguous()
    draw = LatentWorks(look, latents, torch.tensor([0, 0, 0, 1, 1, 1]), crop=4).draw
    (maps,) = draw(torch.tensor([0, 1, 1, 0] * 8), Generator().manual_seed(0))
    assert maps.shape == (32, 1, 4, 4)
    values = maps[:, 0, 0, 0].reshape(8, 4)
    assert set(values[:, [0, 3]].flatten().tolist()) == {0.0, 1.0, 2.0}
    assert set(values[:, [1, 2]].flatten().tolist()) == {3.0, 4.0, 5.0}


def test_pictures_are_drawn_and_damaged_ones_passed_over(tmp_path: Path) -> None:
    for style, level in (("photo", 0.0), ("paint", 1.0)):
        (tmp_path / style).mkdir()
        save_image(to_image(torch.full((1, 3, 32, 40), level)), tmp_path / style / "a.png")
    (tmp_path / "paint" / "b.png").write_bytes(b"no picture")
    draw = PictureWorks(
        look, pictures_in(tmp_path, ("photo", "paint")), Squares(32), 16, margin=0.1
    ).draw
    (maps,) = draw(torch.tensor([0, 1] * 6), Generator().manual_seed(0))
    assert maps.shape == (12, 3, 16, 16)
    assert maps[:, 0, 0, 0].tolist() == [0.0, 1.0] * 6
    (tmp_path / "paint" / "a.png").unlink()
    broken = PictureWorks(look, pictures_in(tmp_path, ("photo", "paint")), Squares(32), 16).draw
    with pytest.raises(InputError, match="no picture of the style 'paint'"):
        broken(torch.tensor([1]), Generator().manual_seed(0))


def test_a_margin_leaves_sides_that_layers_can_halve(tmp_path: Path) -> None:
    """116 pixels of 128 ended in an error of `pixel_unshuffle`."""
    (tmp_path / "paint").mkdir()
    save_image(to_image(torch.rand(1, 3, 128, 128)), tmp_path / "paint" / "a.png")
    for crop in (0, 256):
        draw = PictureWorks(
            look, pictures_in(tmp_path, ("paint",)), Squares(128), crop, margin=0.05
        ).draw
        assert draw(torch.tensor([0]), Generator().manual_seed(0))[0].shape == (1, 3, 112, 112)


def test_collections_and_critics_share_what_they_read(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[LatentWorks] = []

    def build(*arguments: Any) -> LatentWorks:
        made.append(LatentWorks(*arguments))
        return made[-1]

    monkeypatch.setattr("lgt.build.energy.LatentWorks", build)
    gains = {"loss__critic_gain": 1.0, "loss__collection_gain": 1.0}
    trainer(config(WITH_FEATURES, **gains))
    assert len(made) == 1


def test_of_many_works_some_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Evenly spread, so that no sub-folder is left out."""
    monkeypatch.setattr(clips, "MOST_WORKS", 3)
    (tmp_path / "paint").mkdir()
    for index in range(7):
        picture = torch.full((1, 3, 16, 16), index / 10)
        save_image(to_image(picture), tmp_path / "paint" / f"{index}.png")
    seen: list[float] = []

    def shown(x: Tensor) -> FeatureMaps:
        seen.extend(x.mean((1, 2, 3)).tolist())
        return FeatureMaps([x], [])

    told = Recorder.new()
    works = PictureWorks(
        shown, pictures_in(tmp_path, ("paint",)), Squares(16), 0, counted=told.measured
    )
    assert [labels.tolist() for _, labels in works.clips()] == [[0, 0, 0]]
    assert [round(10 * value) for value in seen] == [0, 2, 4]
    assert told.works == [(3, 3)]


def test_it_is_told_how_far_the_look_at_the_works_is(tmp_path: Path) -> None:
    """Of latents and of pictures, a damaged one among them."""
    recorder, latents = Recorder.new(), dataset()
    trainer(config(WITH_FEATURES, loss__collection_gain=1.0), latents, reporter=recorder)
    total = len(latents)
    assert recorder.works == [(done, total) for done, _ in recorder.works]
    assert [done for done, _ in recorder.works] == sorted({done for done, _ in recorder.works})
    assert recorder.works[-1] == (total, total)

    (tmp_path / "paint").mkdir()
    for index in range(BATCH):
        save_image(to_image(torch.rand(1, 3, 64, 64)), tmp_path / "paint" / f"{index}.png")
    (tmp_path / "paint" / "damaged.png").write_bytes(b"no picture")
    told = Recorder.new()
    works = PictureWorks(
        look, pictures_in(tmp_path, ("paint",)), Squares(64), 32, counted=told.measured
    )
    assert sum(len(styles) for _, styles in works.clips()) == ROUNDS * BATCH
    assert told.works == [(BATCH, BATCH + 1), (BATCH + 1, BATCH + 1)]
