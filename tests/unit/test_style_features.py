"""Learned style features: they tell styles apart, and the energy and checkpoints carry them."""

from __future__ import annotations

from pathlib import Path

import torch
from toys import config, fields, trainer

from lgt.energy import FeatureSWD, PatchSWD, StyleBank
from lgt.nn import StyleFeatures
from lgt.train import Checkpoint
from lgt.train.style_features import train_style_features


def toy_bank(num_per_style: int = 24, seed: int = 0) -> StyleBank:
    """Return a bank of the two toy styles."""
    latents = fields(num_per_style, 4, 16, seed)
    return StyleBank(latents, torch.arange(2).repeat_interleave(num_per_style), 2)


def held_out_accuracy(features: StyleFeatures) -> float:
    """Return the share of patches of unseen works that are given to their own style."""
    bank = toy_bank(seed=1)
    labels = bank.style_ids[:, None, None]
    return float((features(bank.latents).argmax(1) == labels).float().mean())


def test_features_learn_to_tell_styles_apart() -> None:
    """Held-out patch accuracy is near chance before training and above 0.9 after 60 steps."""
    assert abs(held_out_accuracy(StyleFeatures(4, 2).eval()) - 0.5) < 0.3
    assert held_out_accuracy(train_style_features(toy_bank(), 60)) > 0.9


def test_features_are_frozen_and_depend_on_the_seed_alone() -> None:
    """Two trainings with one seed agree bit for bit; another seed gives other weights."""
    first, second, other = (train_style_features(toy_bank(), 3, seed=seed) for seed in (0, 0, 1))
    assert not any(p.requires_grad for p in first.parameters())
    pairs = list(zip(first.parameters(), second.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert not all(torch.equal(a, c) for a, _, c in pairs)


def test_feature_distance_separates_styles_better_than_raw_patches() -> None:
    """Between-style over within-style distance, learned features against whole random patches."""
    bank = toy_bank(40)
    features = train_style_features(bank, 60)
    held_out = toy_bank(40, seed=1)
    photo, paint = held_out.latents[None, :40], held_out.latents[None, 40:]
    terms = {
        "feature": FeatureSWD(features.features, bank.latents),
        "patch": PatchSWD(patch_size=3),
    }
    ratio = {}
    for name, term in terms.items():
        generator = torch.Generator().manual_seed(0)
        between = float(term(photo, paint, generator))
        within = float(term(photo[:, ::2], photo[:, 1::2], generator))
        ratio[name] = between / within
    assert ratio["feature"] > 2 * ratio["patch"]


def test_feature_distance_has_a_gradient_and_is_least_for_the_own_style() -> None:
    """An output of a style is nearer to that style's works than to the other's."""
    bank = toy_bank()
    term = FeatureSWD(train_style_features(bank, 40).features, bank.latents)
    x = toy_bank(seed=1).latents[None, :8].clone().requires_grad_()
    generator = torch.Generator().manual_seed(0)
    own = term(x, bank.latents[None, :24], generator).sum()
    other = term(x, bank.latents[None, 24:], generator).sum()
    other.backward()
    assert own < other
    assert x.grad is not None
    assert x.grad.abs().sum() > 0


def test_a_run_with_features_logs_saves_and_resumes_them(tmp_path: Path) -> None:
    """The feature term counts in the total; a resumed run has the very same features."""
    settings = config(
        loss__feature_gain=1.0, loss__feature_steps=4, checkpoint__save_dir=str(tmp_path)
    )
    run = trainer(settings)
    run.run()
    saved = Checkpoint.load(tmp_path / "latest.pt")
    assert saved.style_features is not None
    again = trainer(settings, checkpoint=saved)
    assert again.features is not None
    for name, value in again.features.state_dict().items():
        assert torch.equal(value, saved.style_features[name])
    header, *rows = (next((tmp_path / "logs").glob("*.csv"))).read_text().splitlines()
    column = header.split(",").index("feature")
    assert all(float(row.split(",")[column]) > 0 for row in rows)
    assert len(rows) == 2
