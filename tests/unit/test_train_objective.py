"""What a training step draws and minimises: label dropout, start states, pairing."""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import config, dataset, objective, trainer

from lgt.build import build_network
from lgt.data.dataset import Batch
from lgt.energy import StyleBank
from lgt.nn import NULL_STYLE, LGTUNet
from lgt.train.objective import FlowMatchingObjective, FreeEnergyObjective, drop_labels
from lgt.train.schedule import step_generator


def test_labels_are_dropped_at_the_given_rate(generator: torch.Generator) -> None:
    labels = torch.arange(20_000) % 3
    for probability in (0.0, 0.1, 0.5, 1.0):
        dropped = drop_labels(labels, probability, generator)
        is_null = dropped == NULL_STYLE
        assert float(is_null.float().mean()) == pytest.approx(probability, abs=0.012)
        assert torch.equal(dropped[~is_null], labels[~is_null])
        by_style = Counter(labels[is_null].tolist())
        if 0 < probability < 1:
            assert all(abs(by_style[i] / 20_000 * 3 - probability) < 0.02 for i in range(3)), (
                "the label has no part in it"
            )


@pytest.mark.parametrize("name", ["lgt", "ot_cfm"])
def test_target_and_source_labels_are_dropped_independently(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(
        training__label_drop_prob=0.3, training__batch_size=2000, training__objective=name
    )
    part, batch = objective(settings)
    seen: dict[str, torch.Tensor] = {}

    def spy(self: LGTUNet, target: torch.Tensor, source: torch.Tensor, x_src: Any) -> Any:
        seen["target"], seen["source"] = target, source
        raise InterruptedError

    monkeypatch.setattr(LGTUNet, "condition", spy)
    with pytest.raises(InterruptedError):
        part.velocity(batch, torch.Generator().manual_seed(1))
    target_null, source_null = seen["target"] == NULL_STYLE, seen["source"] == NULL_STYLE
    assert float(target_null.float().mean()) == pytest.approx(0.3, abs=0.04)
    assert float(source_null.float().mean()) == pytest.approx(0.3, abs=0.04)
    assert float((target_null & source_null).float().mean()) == pytest.approx(0.09, abs=0.03)
    assert torch.equal(seen["target"][~target_null], batch.target_style_id[~target_null])
    assert torch.equal(seen["source"][~source_null], batch.source_style_id[~source_null])


def test_a_run_draws_styles_in_equal_shares(tmp_path: Path) -> None:
    latents = dataset()
    keep = torch.tensor([0, 1, *range(6, 12)])  # two photos, six paintings
    latents.latents, latents.style_ids = latents.latents[keep], latents.style_ids[keep]
    settings = config(training__batch_size=8, checkpoint__save_dir=str(tmp_path))
    run = trainer(settings, latents)
    pairs: Counter[tuple[int, int]] = Counter()
    visits: Counter[int] = Counter()

    def spy(batch: Batch, _: torch.Generator) -> Any:
        sources, targets = batch.source_style_id.tolist(), batch.target_style_id.tolist()
        assert Counter(sources) == Counter(targets) == {0: 4, 1: 4}
        pairs.update(zip(sources, targets, strict=True))
        visits.update(batch.index.tolist())
        assert torch.equal(latents.style_ids[batch.index], batch.source_style_id)
        raise InterruptedError

    run.objective = spy
    for _ in range(100):
        with pytest.raises(InterruptedError):
            run._advance()
        run.step += 1
    assert set(visits) == set(range(8))
    assert visits[0] + visits[1] == 400
    assert all(pairs[pair] == pytest.approx(200, abs=40) for pair in pairs)
    assert len(pairs) == 4, "every source style meets every target style"


def test_sources_come_from_the_chosen_styles(tmp_path: Path) -> None:
    run = trainer(config(data__source_subdirs=["paint"], training__steps_per_epoch=0))
    assert run.source_styles == [1]
    assert run.steps_per_epoch == 2, "6 sources in batches of 4, rounded up"
    assert set(run.samples.styles.tolist()) == {1}
    assert trainer(config(training__steps_per_epoch=0)).steps_per_epoch == 3


def paired(part: FlowMatchingObjective, batch: Batch, works: torch.Tensor) -> torch.Tensor:
    """Return the works that a batch is paired with, of the given ones."""
    part.bank = StyleBank(works, torch.zeros(len(works), dtype=torch.int64), 1)
    return part._paired_works(batch, torch.Generator().manual_seed(0))


def one_style_batch(x_src: torch.Tensor) -> Batch:
    zeros = torch.zeros(len(x_src), dtype=torch.int64)
    return Batch(x_src, zeros, zeros, torch.arange(len(x_src)))


@pytest.mark.parametrize("seed", range(5))
def test_pairing_is_the_cheapest_of_all(seed: int) -> None:
    part, _ = objective(config(training__objective="ot_cfm"))
    assert isinstance(part, FlowMatchingObjective)
    generator = torch.Generator().manual_seed(seed)
    x_src, works = torch.randn(2, 4, 4, 8, 8, generator=generator)
    chosen = paired(part, one_style_batch(x_src), works)
    costs = [float((x_src - works[list(order)]).square().sum()) for order in permutations(range(4))]
    assert len(costs) == 24
    assert float((x_src - chosen).square().sum()) == pytest.approx(min(costs), rel=1e-5)
    assert len({tuple(work.flatten().tolist()) for work in chosen}) == 4, "each work once"


def test_pairing_undoes_a_shuffle() -> None:
    part, _ = objective(config(training__objective="ot_cfm"))
    assert isinstance(part, FlowMatchingObjective)
    generator = torch.Generator().manual_seed(0)
    works = torch.randn(8, 4, 8, 8, generator=generator)
    order = torch.randperm(8, generator=generator)
    near = works[order] + 0.01 * torch.randn(8, 4, 8, 8, generator=generator)
    assert torch.equal(paired(part, one_style_batch(near), works), works[order])


def test_pairing_with_fewer_works_than_sources_uses_them_evenly() -> None:
    part, _ = objective(config(training__objective="ot_cfm"))
    assert isinstance(part, FlowMatchingObjective)
    x_src, works = torch.randn(6, 4, 8, 8), torch.randn(3, 4, 8, 8)
    chosen = paired(part, one_style_batch(x_src), works)
    uses = [int((chosen == work).flatten(1).all(dim=1).sum()) for work in works]
    assert uses == [2, 2, 2]


def test_each_source_is_paired_with_its_target_style() -> None:
    part, _ = objective(config(training__objective="ot_cfm"))
    assert isinstance(part, FlowMatchingObjective)
    latents = dataset()
    index = torch.tensor([0, 7, 1, 8])
    target = torch.tensor([1, 0, 0, 1])
    batch = Batch(latents.latents[index], latents.style_ids[index], target, index)
    for work, style in zip(
        part._paired_works(batch, torch.Generator().manual_seed(0)), target.tolist(), strict=True
    ):
        same = (latents.latents == work).flatten(1).all(dim=1)
        assert latents.style_ids[same].tolist() == [style]


def test_flow_matching_error_is_zero_for_the_true_velocity(
    monkeypatch: pytest.MonkeyPatch, generator: torch.Generator
) -> None:
    part, batch = objective(config(training__objective="ot_cfm"))
    assert isinstance(part, FlowMatchingObjective)
    paths: list[torch.Tensor] = []
    works = torch.randn(batch.x_src.shape, generator=generator)
    monkeypatch.setattr(part, "_paired_works", lambda *_: works)

    def truth(*_: Any) -> Any:
        def velocity(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            time = t[:, None, None, None]
            paths.append(x - ((1 - time) * batch.x_src + time * works))
            return works - batch.x_src

        return velocity

    monkeypatch.setattr(part, "velocity", truth)
    terms = part(batch, generator)
    assert float(terms.total) == 0
    assert float(paths[0].abs().max()) < 1e-6
    monkeypatch.setattr(part, "velocity", lambda *_: lambda x, _: torch.zeros_like(x))
    still = part(batch, generator)
    assert float(still.total) == pytest.approx(float((works - batch.x_src).square().mean()))
    assert float(still["velocity"]) == float(still.total)


def test_free_energy_of_an_unmoved_source_has_no_content(generator: torch.Generator) -> None:
    part, batch = objective(config())
    assert isinstance(part, FreeEnergyObjective)
    terms = part.energy_of(batch.x_src, batch, None, generator)
    assert float(terms.content) < 1e-9
    assert float(terms["identity"]) == 0
    assert float(terms.style) > 0.01


def test_energy_reaches_every_parameter(generator: torch.Generator) -> None:
    for name in ("lgt", "ot_cfm"):
        part, batch = objective(config(training__objective=name, training__label_drop_prob=0.5))
        part(batch, generator).total.backward()
        dead = [
            name
            for name, parameter in part.network.named_parameters()
            if parameter.grad is None or not bool((parameter.grad != 0).any())
        ]
        assert dead == []


def test_start_states(generator: torch.Generator) -> None:
    part, batch = objective(config(training__start="noised_source", training__batch_size=512))
    assert isinstance(part, FreeEnergyObjective)
    part.start_time_range = (0.25, 0.75)
    x, t = part._start(batch.x_src, generator)
    assert isinstance(t, torch.Tensor)
    assert 0.25 <= float(t.min()) < 0.27
    assert 0.73 < float(t.max()) <= 0.75
    time = t[:, None, None, None]
    noise = (x - time * batch.x_src) / (1 - time)
    assert float(noise.mean()) == pytest.approx(0, abs=0.02)
    assert float(noise.std()) == pytest.approx(1, abs=0.02)
    part.start = "noise"
    x, t = part._start(batch.x_src, generator)
    assert float(torch.as_tensor(t).max()) == 0
    assert float(x.std()) == pytest.approx(1, abs=0.02)
    part.start = "source"
    x, t = part._start(batch.x_src, generator)
    assert x is batch.x_src
    assert t == 0.0


def test_one_seed_gives_one_energy_and_steps_differ() -> None:
    part, batch = objective(config(training__start="noised_source"))
    energies = [float(part(batch, step_generator(0, step)).total.detach()) for step in (1, 1, 2)]
    assert energies[0] == energies[1] != energies[2]


def test_the_baseline_can_not_read_the_velocity_off_its_inputs() -> None:
    """OT-CFM's network does not see the source: (x_t - x_0) / t is the very target."""
    settings = config(training__objective="ot_cfm", model__condition_on_source=True)
    assert not build_network(settings).condition_on_source
    assert build_network(config()).condition_on_source


class RecordedPath(FreeEnergyObjective):
    """Records where the velocity is asked for, and whether with a gradient."""

    asked: list[tuple[float, bool]]

    def velocity(self, batch: Batch, generator: torch.Generator) -> Any:
        inner = super().velocity(batch, generator)

        def recorded(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            self.asked.append((float(t[0]), torch.is_grad_enabled()))
            return inner(x, t)

        return recorded


def random_path(steps: int, **keys: Any) -> tuple[RecordedPath, Batch]:
    part, batch = objective(
        config(keys, training__ode_integration_steps=steps, training__random_path=True)
    )
    assert isinstance(part, FreeEnergyObjective)
    part.__class__ = RecordedPath
    assert isinstance(part, RecordedPath)
    part.asked = []
    return part, batch


def test_a_path_of_random_length_has_its_gradient_in_the_last_step() -> None:
    part, batch = random_path(4)
    lengths = set()
    for seed in range(24):
        part.asked.clear()
        x_1, _ = part.end_state(batch, torch.Generator().manual_seed(seed))
        times, gradients = zip(*part.asked, strict=True)
        assert gradients == (False,) * (len(times) - 1) + (True,)
        assert times == pytest.approx(
            [i * times[-1] / max(1, len(times) - 1) for i in range(len(times))]
        )
        assert x_1.requires_grad
        lengths.add(len(times))
    assert lengths == {1, 2, 3, 4}


def test_paths_have_every_length_of_their_range() -> None:
    part, batch = random_path(3)
    seen = set()
    for seed in range(24):
        part.asked.clear()
        part.end_state(batch, torch.Generator().manual_seed(seed))
        seen |= {round(t, 4) for t, _ in part.asked}
    assert seen == {0.0, 0.5, round(1 / 3, 4), round(2 / 3, 4)}


def test_a_path_meets_the_noise_of_inference() -> None:
    """With noise, paths of the same steps differ from seed to seed; without, they do not."""
    keys = {"training.label_drop_prob": 0.0, "inference.temperature_threshold": 0.0}
    hot, batch = random_path(4, **keys | {"inference.temperature_lambda": 0.5})
    cold, _ = random_path(4, **keys | {"training.use_langevin": False})

    def ends_of(part: RecordedPath) -> dict[tuple[float, ...], set[float]]:
        found: dict[tuple[float, ...], set[float]] = {}
        for seed in range(16):
            part.asked.clear()
            x_1, _ = part.end_state(batch, torch.Generator().manual_seed(seed))
            found.setdefault(tuple(t for t, _ in part.asked), set()).add(float(x_1.detach().sum()))
        return found

    def noise(part: RecordedPath) -> int:
        return sum(len(ends) - 1 for ends in ends_of(part).values())

    assert noise(cold) == 0 < noise(hot)
