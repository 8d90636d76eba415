"""The free energy: each output against its own style, and the total is the documented sum."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from toys import free_energy

from lgt.energy import (
    EnergyTerms,
    FreeEnergy,
    Matching,
    PatchSWD,
    SelfSimilarity,
    State,
    StyleBands,
    StyleBank,
    Value,
)
from lgt.energy.functional import Lines

NUM_STYLES, PER_STYLE = 3, 8


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def style_bank() -> StyleBank:
    """Return a bank of three styles that differ in palette, contrast and grain, in mixed order."""
    ids = torch.arange(NUM_STYLES * PER_STYLE) % NUM_STYLES
    noise = torch.randn(len(ids), 4, 16, 16, generator=seeded(1))
    smooth = F.avg_pool2d(F.pad(noise, (1, 1, 1, 1), mode="circular"), 3, stride=1)
    grain = ids.reshape(-1, 1, 1, 1) / 2
    latents = (grain * noise + (1 - grain) * smooth) * (1 + grain) + ids.reshape(-1, 1, 1, 1)
    return StyleBank(latents, ids, NUM_STYLES)


def build(bank: StyleBank, **loss: Any) -> FreeEnergy:
    return free_energy(bank, **{"patch_dilations": [1, 2], "num_projections": 32} | loss)


def bands_of(energy: FreeEnergy) -> StyleBands:
    bands = energy.term(StyleBands)
    assert bands is not None
    return bands


def evaluate(energy: FreeEnergy, x_1: Tensor, target: list[int], **options: Any) -> EnergyTerms:
    """Evaluate outputs whose sources are the bank's first rows, of styles 0 1 2 0 1 2 ..."""
    index, bank = torch.arange(len(x_1)), bands_of(energy).bank
    options = {"x_src": bank.latents[index], "generator": seeded(7)} | options
    return energy(
        x_1,
        target_style_id=torch.tensor(target),
        source_style_id=bank.style_ids[index],
        source_index=index,
        **options,
    )


class Recorded(PatchSWD):
    """A patch distance that notes what it was asked to compare."""

    def __init__(self, **options: Any) -> None:
        super().__init__(patch_size=1, **options)
        self.calls: list[tuple[Tensor, Tensor]] = []

    def lines(self, x: Tensor, works: Tensor, generator: Generator | None = None) -> Lines:
        """Keep the call; return lines whose distance is the mean of the output."""
        self.calls.append((x.detach(), works))
        line = x.mean(dim=(1, 2, 3, 4)).sqrt()[:, None, None]
        return line, torch.zeros(1, 1, 1)


@pytest.mark.parametrize("assigned_works", [0, 2])
def test_regression_each_output_meets_works_of_its_own_target(assigned_works: int) -> None:
    """Mixed batch, 2 modes: references are works of the target's style, never a pool of styles."""
    ids = torch.arange(12) % NUM_STYLES
    bank = StyleBank(ids.float().reshape(-1, 1, 1, 1).expand(12, 4, 8, 8).clone(), ids, NUM_STYLES)
    texture, color = Recorded(), Recorded()
    bands = StyleBands(
        bank,
        {"texture": 1.0, "color": 1.0},
        texture=[texture],
        color=color,
        matching=Matching(assigned_works=assigned_works, bank_works=3),
    )
    energy = FreeEnergy([bands])
    target = [2, 0, 2, 1, 2]
    own = torch.tensor([0.0, 1, 5, 3, 9])  # each output holds a number of its own
    x_1 = own.reshape(5, 1, 1, 1).expand(5, 4, 8, 8)
    terms = evaluate(energy, x_1, target)
    for calls in (texture.calls, color.calls):
        assert len(calls) == 3  # one for each style in the batch
        for style, (groups, works) in enumerate(calls):
            assert (works == style).all()
            members = torch.tensor([i for i, each in enumerate(target) if each == style])
            assert groups.shape[:2] == (len(members), 1)
            assert torch.equal(groups[..., 0, 0, 0].flatten(), own[members])
            assert works.shape[:2] == ((len(members), 2) if assigned_works else (1, 3))
    # Every output counts alike, however many share its style.
    torch.testing.assert_close(terms["texture"], x_1.mean())
    torch.testing.assert_close(terms["color"], x_1.mean())


@pytest.mark.parametrize("bands", ["split", "raw"])
def test_regression_swapping_two_target_ids_changes_the_energy(bands: str) -> None:
    """Outputs that are works of styles 1 and 2: right ids cost less than swapped ones, 2 modes.

    An energy of the pooled batch would not know the difference.
    """
    bank = style_bank()
    energy = build(bank, style_bands=bands)
    x_1 = torch.stack([bank.works(style, 1, seeded(3))[0] for style in (1, 2)])
    right = evaluate(energy, x_1, [1, 2]).style
    swapped = evaluate(energy, x_1, [2, 1]).style
    assert right < 0.5 * swapped


def test_regression_the_identity_is_not_a_minimum_for_another_style() -> None:
    """A source is far from every other style, and a work of the target is near it."""
    bank = style_bank()
    energy = build(bank)
    source, work = bank.latents[:1], bank.works(2, 1, seeded(5))
    assert evaluate(energy, work, [2]).style < 0.5 * evaluate(energy, source, [2]).style
    assert evaluate(energy, source, [2]).content == 0


def test_works_of_other_styles_do_not_matter() -> None:
    """Replacing all works of style 1 leaves the energies of targets 0 and 2, bit for bit."""
    bank = style_bank()
    options: dict[str, Any] = {"style_bands": "raw", "assigned_works": 0}
    x_1 = torch.randn(2, 4, 16, 16, generator=seeded(2))
    before = evaluate(build(bank, **options), x_1, [0, 2])
    other = bank.latents.clone()
    other[bank.members[1]] = 9 * torch.randn(PER_STYLE, 4, 16, 16, generator=seeded(4))
    after = build(StyleBank(other, bank.style_ids, NUM_STYLES), **options)
    same = evaluate(after, x_1, [0, 2], x_src=bank.latents[:2])
    assert torch.equal(before.style, same.style)


@pytest.mark.parametrize("bands", ["split", "raw"])
def test_total_is_the_documented_weighted_sum(bands: str) -> None:
    """All weights at work, a batch of which 2 of 5 sources keep their style."""
    bank = style_bank()
    energy = build(
        bank,
        style_bands=bands,
        w_style=1.5,
        w_content=0.7,
        texture_gain=4.0,
        color_gain=0.3,
        content_gain=6.0,
        w_identity=0.9,
        use_velocity_reg=True,
        vel_reg_weight=0.05,
    )
    x_1 = torch.randn(5, 4, 16, 16, generator=seeded(2), requires_grad=True)
    target = [0, 2, 1, 0, 2]  # sources have styles 0 1 2 0 1
    terms = evaluate(energy, x_1, target, kinetic=torch.tensor(3.0))
    x_src = bank.latents[:5]
    color = terms.values.get("color", torch.zeros(()))
    texture_gain = 4.0 if bands == "split" else 1.0  # Raw patches are weighed by w_style alone.
    torch.testing.assert_close(terms.style, texture_gain * terms["texture"] + 0.3 * color)
    torch.testing.assert_close(terms.content, 6.0 * SelfSimilarity()(x_1, x_src).mean())
    kept = (x_1 - x_src)[[0, 3]].abs()
    torch.testing.assert_close(terms["identity"], kept.mean())
    assert terms["velocity"] == 3
    total = (
        1.5 * terms.style
        + 0.7 * terms.content
        + 0.9 * kept.mean(dim=(1, 2, 3)).sum() / 5  # others contribute nothing
        + 0.05 * 3
    )
    torch.testing.assert_close(terms.total, total)
    assert ("color" not in terms.values) == (bands == "raw")
    terms.total.backward()
    assert x_1.grad is not None
    assert torch.isfinite(x_1.grad).all()
    assert (x_1.grad.flatten(1).norm(dim=1) > 0).all()
    assert terms.as_floats()["total"] == pytest.approx(total.item(), rel=1e-5)
    assert list(terms.as_floats()) == ["total", "style", "content", *terms.values]


def test_content_counts_by_the_factor_of_the_target() -> None:
    bank = style_bank()
    x_1 = torch.randn(3, 4, 16, 16, generator=seeded(2))
    factors = {"style1": 3.0, "style2": 0.5}
    plain = evaluate(build(bank), x_1, [1, 2, 0])
    weighted = evaluate(build(bank, content_by_style=factors), x_1, [1, 2, 0])
    each = SelfSimilarity()(x_1, bank.latents[:3])
    expected = (torch.tensor([3.0, 0.5, 1.0]) * each).mean()
    torch.testing.assert_close(weighted.content, expected)
    assert torch.equal(weighted.style, plain.style)


def test_guards_are_off_by_default_and_where_no_style_is_kept() -> None:
    """No weight, no term; no same-style sample, no identity."""
    bank = style_bank()
    x_1 = torch.randn(3, 4, 16, 16, generator=seeded(2))
    terms = evaluate(build(bank), x_1, [0, 1, 2])
    assert set(terms.values) == {"texture", "color", "similarity"}
    torch.testing.assert_close(terms.total, terms.style + terms.content)
    strangers = evaluate(build(bank, w_identity=1.0), x_1, [1, 2, 0])
    assert strangers["identity"] == 0
    assert torch.isfinite(strangers.total)


@pytest.mark.parametrize("max_samples", [4096, 100])
def test_raw_form_is_the_documented_pipeline(max_samples: int) -> None:
    """Unfold, sample, project, sort, MSE plus normalise, Gram, Frobenius, written out again.

    Three outputs of three styles, one work each, with the same draws in the same order; for all
    patches and for 100 of 196.
    """
    bank = style_bank()
    energy = build(
        bank,
        w_style=2.0,
        w_content=3.0,
        style_bands="raw",
        patch_dilations=[1],
        max_samples=max_samples,
        assigned_works=0,
        bank_works=1,
    )
    x_1 = torch.randn(3, 4, 16, 16, generator=seeded(2))
    terms = evaluate(energy, x_1, [2, 0, 1], generator=seeded(11))

    draws = seeded(11)
    style = torch.zeros(())
    for style_id, row in ((0, 1), (1, 2), (2, 0)):
        work = bank.members[style_id][torch.randperm(PER_STYLE, generator=draws)[:1]]
        theta = torch.randn(36, 32, generator=draws)
        theta = theta / theta.norm(dim=0, keepdim=True)
        lines = []
        for image in (x_1[row], bank.latents[work][0]):
            patches = F.unfold(image[None], kernel_size=3)[0].T  # [196, 36]
            if max_samples < len(patches):
                patches = patches[torch.randperm(len(patches), generator=draws)[:max_samples]]
            lines.append((patches @ theta).sort(dim=0).values)
        style = style + F.mse_loss(*lines) / 3
    torch.testing.assert_close(terms.style, style)

    grams = []
    for image in (x_1, bank.latents[:3]):
        z = F.normalize(image, dim=1).flatten(2)
        grams.append(z.transpose(1, 2) @ z)
    content = torch.linalg.matrix_norm(grams[0] - grams[1]).square().mean() / 256**2
    torch.testing.assert_close(terms.content, content)
    torch.testing.assert_close(terms.total, 2 * style + 3 * content)


def test_random_references_serve_several_outputs_of_one_style() -> None:
    """One drawn reference, three outputs of one style and one of another."""
    x_1 = torch.randn(4, 4, 16, 16, generator=seeded(2))
    energy = build(style_bank(), assigned_works=0)
    terms = evaluate(energy, x_1, [1, 1, 1, 2])
    assert torch.isfinite(terms.total)
    assert terms["texture"] > 0


def test_regression_bfloat16_states_under_autocast_give_float32_energies() -> None:
    """Sorting and Gram matrices are done in float32, whatever the network's precision."""
    bank = style_bank()
    gains = {"texture_gain": 10.0, "content_gain": 10.0, "w_identity": 1.0}
    x_1 = torch.randn(3, 4, 16, 16, generator=seeded(2))
    exact = evaluate(build(bank, **gains), x_1, [0, 2, 1], kinetic=torch.tensor(0.5))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = evaluate(
            build(bank, **gains),
            x_1.bfloat16(),
            [0, 2, 1],
            x_src=bank.latents[:3].bfloat16(),
            kinetic=torch.tensor(0.5).bfloat16(),
        )
    for name, value in half.as_dict().items():
        assert value.dtype == torch.float32, name
        torch.testing.assert_close(value, exact[name], rtol=1e-2, atol=1e-4)


def test_one_seed_gives_one_energy() -> None:
    """Projections, references and samples come from the generator alone."""
    energy = build(style_bank(), max_samples=64, max_positions=64)
    x_1 = torch.randn(3, 4, 16, 16, generator=seeded(2))
    first = evaluate(energy, x_1, [0, 2, 1])
    torch.randn(5)
    assert evaluate(energy, x_1, [0, 2, 1]).as_floats() == first.as_floats()
    other = evaluate(energy, x_1, [0, 2, 1], generator=seeded(8))
    assert other.style != first.style


def test_texture_scales_that_do_not_fit_are_left_out() -> None:
    """On 16 x 16 latents a 3 x 3 patch fits up to dilation 7; terms keep their order."""
    energy = build(style_bank(), patch_dilations=[1, 7, 8, 2])
    assert [term.dilation for term in bands_of(energy).texture] == [1, 7, 2]
    assert all(term.transform is not None for term in bands_of(energy).texture)
    raw = bands_of(build(style_bank(), style_bands="raw"))
    assert raw.color is None
    assert all(term.transform is None for term in raw.texture)


class Contrast:
    """A term as anyone may write one: the mean square of the outputs, in half of the batch."""

    part = "content"
    gains: ClassVar[dict[str, float]] = {"contrast": 2.0}

    def __call__(self, state: State) -> dict[str, Value]:
        return {"contrast": Value(state.x_1.square().mean(), 0.5)}


def test_a_term_names_and_weighs_itself() -> None:
    """One class is all that a new term takes: it is summed, and stands among the values."""
    x_1 = torch.full((2, 4, 8, 8), 3.0)
    ids = torch.tensor([0, 1])
    energy = FreeEnergy([Contrast()], w_content=10.0)
    terms = energy(x_1, x_1, ids, 1 - ids, ids)
    assert energy.weighs("contrast") and not energy.weighs("velocity")
    assert terms.as_floats() == {"total": 90.0, "style": 0.0, "content": 9.0, "contrast": 9.0}
