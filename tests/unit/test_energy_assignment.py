"""Assignment is optimal transport: marginals, twins, shifts, and what the bank draws from it."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from lgt.energy import StyleBank, assign_works, bank, image_statistics, sinkhorn_log_plan
from lgt.errors import InputError


def labelled_bank(counts: tuple[int, ...], generator: Generator) -> StyleBank:
    """Return a bank in mixed order; pixel (0, 0) of channel 0 holds the latent's own row."""
    ids = torch.cat([torch.full((count,), style) for style, count in enumerate(counts)])
    ids = ids[torch.randperm(len(ids), generator=generator)]
    latents = torch.randn(len(ids), 4, 8, 8, generator=generator)
    latents[:, 0, 0, 0] = torch.arange(len(ids)).float()
    return StyleBank(latents, ids, len(counts))


def rows_of(works: Tensor) -> Tensor:
    return works[..., 0, 0, 0].long()


@pytest.mark.parametrize("sources,works", [(6, 6), (12, 5), (5, 12), (1, 4), (4, 1)])
def test_plan_has_both_marginals(sources: int, works: int, generator: Generator) -> None:
    """Rows sum to 1 exactly, columns to sources / works at convergence: 5 shapes."""
    cost = torch.rand(sources, works, generator=generator, dtype=torch.float64)
    plan = sinkhorn_log_plan(cost, regularisation=0.1, num_iterations=500).exp()
    torch.testing.assert_close(plan.sum(1), torch.ones(sources).double())
    columns = torch.full((works,), sources / works).double()
    torch.testing.assert_close(plan.sum(0), columns, atol=1e-6, rtol=0)


def test_plan_is_the_entropic_optimum(generator: Generator) -> None:
    """The plan has the form exp(f + g - cost / r): its log has no interaction but the cost's."""
    cost = torch.rand(7, 5, generator=generator, dtype=torch.float64)
    residual = sinkhorn_log_plan(cost, regularisation=0.2) + cost / 0.2
    interaction = residual - residual.mean(0) - residual.mean(1, keepdim=True) + residual.mean()
    assert interaction.abs().max() < 1e-10


def test_plan_does_not_see_costs_of_a_row_or_a_column(generator: Generator) -> None:
    """A cost that a source, or a work, pays wherever it goes changes nothing."""
    cost = torch.rand(8, 6, generator=generator, dtype=torch.float64)
    rows = torch.rand(8, 1, generator=generator, dtype=torch.float64)
    columns = torch.rand(6, generator=generator, dtype=torch.float64)
    plans = [
        sinkhorn_log_plan(each, regularisation=0.1, num_iterations=1000).exp()
        for each in (cost, cost + rows + columns)
    ]
    torch.testing.assert_close(*plans, atol=1e-8, rtol=0)


def test_assignment_finds_each_sources_twin(generator: Generator) -> None:
    """Works that are the sources, permuted and a little moved, are found: 30 of 30."""
    sources = torch.randn(30, 10, generator=generator)
    order = torch.randperm(30, generator=generator)
    works = sources[order] + 0.05 * torch.randn(30, 10, generator=generator)
    plan = assign_works(sources, works)
    assert torch.equal(order[plan.argmax(1)], torch.arange(30))
    assert plan.max(1).values.min() > 0.9
    torch.testing.assert_close(plan.sum(1), torch.ones(30))


def test_assignment_uses_all_works_evenly(generator: Generator) -> None:
    """Sources that all lie near one work are nevertheless spread over all works."""
    works = torch.randn(8, 6, generator=generator)
    sources = works[:1] + 0.3 * torch.randn(40, 6, generator=generator)
    plan = assign_works(sources, works)
    torch.testing.assert_close(plan.sum(0), torch.full((8,), 5.0), atol=0.5, rtol=0)


@pytest.mark.parametrize("shift", [3.0, 10.0])
def test_assignment_is_independent_of_a_common_shift(shift: float, generator: Generator) -> None:
    """Photographs may differ from a style by a constant; who pairs with whom stays: 2 shifts."""
    sources = torch.randn(40, 10, generator=generator)
    works = torch.randn(30, 10, generator=generator)
    moved = assign_works(sources + shift, works)
    torch.testing.assert_close(moved, assign_works(sources, works), atol=2e-2, rtol=0)


def test_equal_works_are_equally_likely() -> None:
    """No differences, no preference, no division by zero."""
    plan = assign_works(torch.zeros(3, 5), torch.zeros(4, 5))
    torch.testing.assert_close(plan, torch.full((3, 4), 0.25))


@pytest.mark.parametrize("size,bands", [(2, 0), (3, 0), (4, 1), (8, 2), (15, 2), (16, 3), (32, 3)])
def test_statistics_have_the_documented_length(size: int, bands: int, generator: Generator) -> None:
    """C * (2 + 2 * bands that fit) finite values, means and deviations first: 7 sizes."""
    latents = torch.randn(3, 4, size, size, generator=generator)
    statistics = image_statistics(latents)
    assert statistics.shape == (3, 4 * (2 + 2 * bands))
    assert torch.isfinite(statistics).all()
    torch.testing.assert_close(statistics[:, :4], latents.mean(dim=(2, 3)))
    torch.testing.assert_close(statistics[:, 4:8], latents.flatten(2).std(dim=2))
    assert torch.isfinite(image_statistics(torch.ones(1, 4, size, size))).all()


def test_statistics_tell_strength_from_sparsity(generator: Generator) -> None:
    """Doubling the contrast adds log 2 to each band and leaves its sparsity alone."""
    latents = torch.randn(2, 4, 16, 16, generator=generator)
    difference = image_statistics(2 * latents) - image_statistics(latents)
    strength, sparsity = difference[:, 8:].unflatten(1, (3, 2, 4)).unbind(2)
    torch.testing.assert_close(strength, torch.full_like(strength, 2.0).log())
    torch.testing.assert_close(sparsity, torch.zeros_like(sparsity), atol=1e-5, rtol=0)


def test_a_style_without_works_is_an_error() -> None:
    """The message names the style and what it needs."""
    with pytest.raises(InputError, match="style 1 has no works; a style needs at least one"):
        StyleBank(torch.zeros(2, 4, 8, 8), torch.tensor([0, 2]), 3)


def test_works_are_drawn_without_replacement_from_one_style(generator: Generator) -> None:
    """Up to the style's own number, each once; the generator alone decides: 12 draws."""
    works_bank = labelled_bank((3, 9, 5), generator)
    checked = 0
    for style, members in enumerate((3, 9, 5)):
        for count in (1, 3, 4, 100):
            rows = rows_of(works_bank.works(style, count, generator))
            assert len(rows) == len(set(rows.tolist())) == min(count, members)
            assert (works_bank.style_ids[rows] == style).all()
            checked += 1
    print(f"{checked} draws checked")
    first, again = (works_bank.works(1, 4, Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, again)


def test_balanced_draws_every_style_alike(generator: Generator) -> None:
    """Statistics over all styles must not be those of the largest."""
    works_bank = labelled_bank((3, 9, 5), generator)
    styles = works_bank.style_ids[rows_of(works_bank.balanced(4, generator))]
    assert styles.bincount().tolist() == [3, 4, 4]


def test_assigned_works_belong_to_the_style(generator: Generator) -> None:
    """Whatever style the source has, references are works of the target: 17 sources x 3 styles."""
    works_bank = labelled_bank((3, 9, 5), generator)
    for style in range(3):
        rows = rows_of(
            works_bank.take(works_bank.assigned_rows(style, torch.arange(17), 4, generator))
        )
        assert rows.shape == (17, 4)
        assert (works_bank.style_ids[rows] == style).all()


def test_assigned_works_follow_the_plan(generator: Generator) -> None:
    """Over 4000 draws the frequencies are the plan's probabilities, for a source in mixed order."""
    works_bank = labelled_bank((6, 4), generator)
    index = int(works_bank.members[0][3])
    rows = rows_of(
        works_bank.take(works_bank.assigned_rows(1, torch.tensor([index]), 4000, generator))
    )
    measured = torch.stack([(rows == member).float().mean() for member in works_bank.members[1]])
    values = image_statistics(works_bank.latents)
    within = [values[members].var(dim=0, unbiased=False) for members in works_bank.members]
    values = values / torch.stack(within).mean(0).sqrt()
    sources, works = (values[members] for members in works_bank.members)
    torch.testing.assert_close(measured, assign_works(sources, works)[3], atol=0.03, rtol=0)


def test_a_source_is_assigned_its_twin_in_another_style(generator: Generator) -> None:
    """The second style holds the first one's pictures, nearly: each source draws its own."""
    pictures = torch.randn(6, 4, 8, 8, generator=generator)
    pictures *= torch.linspace(0.5, 2, 6).reshape(6, 1, 1, 1)
    pictures += torch.randn(6, 4, 1, 1, generator=generator) * 2
    twins = pictures[torch.tensor([4, 2, 0, 1, 5, 3])] * 1.001
    twin_bank = StyleBank(torch.cat([pictures, twins]), torch.arange(12) // 6, 2)
    drawn = twin_bank.take(twin_bank.assigned_rows(1, torch.arange(6), 3, generator))
    expected = (pictures * 1.001)[:, None].expand_as(drawn)
    torch.testing.assert_close(drawn, expected)


def test_assignment_is_bounded_in_memory(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the first `MAX_ASSIGNED` works of a style take part, and rows stay those works."""
    monkeypatch.setattr(bank, "MAX_ASSIGNED", 3)
    works_bank = labelled_bank((4, 9), generator)
    rows = rows_of(works_bank.take(works_bank.assigned_rows(1, torch.arange(13), 20, generator)))
    assert set(rows.flatten().tolist()) <= set(works_bank.members[1][:3].tolist())


def test_styles_of_one_work_are_usable(generator: Generator) -> None:
    """No spread within a style: the only work is drawn, nothing is NaN."""
    lone = labelled_bank((1, 1), generator)
    rows = rows_of(lone.take(lone.assigned_rows(1, torch.tensor([0, 1]), 2, generator)))
    assert (rows == lone.members[1]).all()
