"""Perceptual features of latents: the packaged network, its distances, and runs that use it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from toys import config, dataset, fields, free_energy, trainer

from lgt.build import build_perceptual_network
from lgt.codec import CodecSpec
from lgt.energy import FeatureSWD, StyleBank, feature_distance
from lgt.errors import InputError
from lgt.nn import LatentPerceptualNetwork, load_perceptual_network
from lgt.nn.packaged import CONFIG_NAME, WEIGHTS_NAME
from lgt.nn.perceptual import LAYERS
from lgt.train import Checkpoint

SD = CodecSpec(name="taesd", source="taesd", latent_channels=4)


def toy_bank(num_per_style: int = 24, seed: int = 0) -> StyleBank:
    """Return a bank of the two toy styles."""
    latents = fields(num_per_style, 4, 16, seed)
    return StyleBank(latents, torch.arange(2).repeat_interleave(num_per_style), 2)


def side_by_side(latents: torch.Tensor) -> list[torch.Tensor]:
    maps = load_perceptual_network().features(latents).style
    return [torch.cat(list(m), dim=-1)[None] for m in maps]


def test_packaged_network_is_small_frozen_and_has_the_documented_layers() -> None:
    """At most 3 MB of weights, no gradients, strides 8 and 16 of the picture, any size."""
    network = load_perceptual_network()
    assert sum(p.numel() for p in network.parameters()) * 2 <= 3e6
    assert not any(p.requires_grad for p in network.parameters())
    assert not network.training
    maps = network(torch.randn(2, 4, 12, 20))
    assert {name: m.shape[1] for name, m in maps.items()} == LAYERS
    for name, layer in maps.items():
        assert layer.shape[2:] == ((6, 10) if name.endswith("16") else (12, 20))


def test_grey_layers_see_less_of_a_shift_of_colour_than_color_layers() -> None:
    """A constant added to the latents moves `color_8` more than `grey_8`, both being scaled."""
    network = load_perceptual_network()
    x = fields(8, 4, 32, 0)
    tint = torch.tensor([0.0, 0.0, 0.8, -0.8])[:, None, None]
    before, after = network(x), network(x + tint)
    change = {k: float((after[k] - before[k]).square().mean()) for k in ("color_8", "grey_8")}
    assert change["color_8"] > 1.3 * change["grey_8"]


def test_feature_distance_is_zero_for_itself_and_about_one_for_unrelated_features() -> None:
    """`1 - cosine`: 0 for equal maps and for any positive scale, 1 for independent ones, 2 max."""
    a, b = torch.randn(3, 64, 8, 8), torch.randn(3, 64, 8, 8)
    torch.testing.assert_close(feature_distance([a], [3 * a]), torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(feature_distance([a], [-a]), torch.full((3,), 2.0))
    assert (feature_distance([a], [b]) - 1).abs().max() < 0.1


def test_feature_swd_has_a_gradient_and_is_least_for_the_own_style() -> None:
    """Unseen outputs of a style are nearer to that style's works than to the other's."""
    bank = toy_bank()
    term = FeatureSWD(lambda x: load_perceptual_network().features(x), bank)
    x = toy_bank(seed=1).latents[:8].clone().requires_grad_()
    generator = torch.Generator().manual_seed(0)
    maps = side_by_side(x)
    own = term(maps, bank.members[0][None], generator).sum()
    other = term(maps, bank.members[1][None], generator).sum()
    other.backward()
    assert 2 * own < other
    assert x.grad is not None
    assert x.grad.abs().sum() > 0


def test_feature_swd_of_all_positions_of_one_work_with_itself_is_near_zero() -> None:
    """The points kept of a work have the distribution of the work: closed form, up to sampling."""
    latents = fields(4, 4, 8, 0)  # 64 positions: all are kept at stride 8, and 16 at stride 16.
    bank = StyleBank(latents, torch.arange(2).repeat_interleave(4), 2)
    network = load_perceptual_network()
    term = FeatureSWD(network.features, bank, points_per_work=64)
    generator = torch.Generator().manual_seed(0)
    same = term(network.features(latents[:1]).style, torch.tensor([[0]]), generator)
    other = term(network.features(latents[:1]).style, torch.tensor([[7]]), generator)
    assert float(same) < 0.01 * float(other)


def test_own_style_samples_have_the_identity_term_instead_of_the_style_energy() -> None:
    """Their gradient is that of |x_1 - x_src| alone where content is off; 0 switches back."""
    bank = toy_bank()
    rows, own = torch.tensor([0, 1]), torch.zeros(2, dtype=torch.int64)
    for weight in (1.0, 0.0):
        energy = free_energy(bank, w_content=0.0, w_identity=weight)
        x = bank.latents[rows].clone().add(0.1).requires_grad_()
        generator = torch.Generator().manual_seed(0)
        terms = energy(x, bank.latents[rows], own, own, rows, generator=generator)
        assert (float(terms.style.detach()) == 0) == (weight > 0)
        assert float(terms.total.detach()) > 0


def test_auto_takes_the_packaged_network_for_stable_diffusion_latents_only() -> None:
    """DCT, 16-channel, XL and unknown latents get none; gains of 0 need none."""
    settings = config()
    assert build_perceptual_network(settings, SD) is not None
    for other in (
        None,
        CodecSpec(name="dct:4", source="dct:4", latent_channels=4),
        CodecSpec(name="sd3", source="sd3", latent_channels=16),
        CodecSpec(name="taesdxl", source="taesdxl", latent_channels=4),
        CodecSpec(name="sdxl-vae", source="x", latent_channels=4, scaling_factor=0.13025),
    ):
        assert build_perceptual_network(settings, other) is None
    without = config(loss__feature_gain=0.0, loss__feature_content_gain=0.0)
    assert build_perceptual_network(without, SD) is None
    assert build_perceptual_network(config(loss__perceptual_network="none"), SD) is None


def test_a_folder_without_a_network_and_one_of_other_channels_are_clear_errors(
    tmp_path: Path,
) -> None:
    """The message names the folder, or both numbers of channels."""
    missing = config(loss__perceptual_network=str(tmp_path))
    with pytest.raises(InputError, match=r"no config\.json in .*train_perceptual"):
        build_perceptual_network(missing, SD)
    from safetensors.torch import save_file

    network = LatentPerceptualNetwork(8, 1, 16)
    save_file(network.state_dict(), tmp_path / WEIGHTS_NAME)
    keys = {"width": 8, "num_blocks": 1, "latent_channels": 16}
    (tmp_path / CONFIG_NAME).write_text(json.dumps(keys))
    with pytest.raises(InputError, match=r"16 channels, but model\.latent_channels is 4"):
        build_perceptual_network(missing, SD)
    (tmp_path / CONFIG_NAME).write_text(json.dumps({**keys, "width": 16}))
    with pytest.raises(InputError, match="damaged"):
        build_perceptual_network(missing, SD)


def test_a_run_with_features_logs_them_and_resumes_exactly(tmp_path: Path) -> None:
    """Both feature terms are in the log; three steps, or two and a resumed third, agree."""
    latents = dataset()
    latents.codec = SD
    settings = config(checkpoint__save_dir=str(tmp_path), training__num_epochs=2)
    whole = trainer(settings, latents)
    whole.run()
    header, *rows = next((tmp_path / "logs").glob("*.csv")).read_text().splitlines()
    for name in ("feature", "perceptual"):
        column = header.split(",").index(name)
        assert all(float(row.split(",")[column]) > 0 for row in rows)
    first = Checkpoint.load(tmp_path / "epoch_0001.pt")
    resumed = trainer(settings, latents, checkpoint=first)
    resumed.run()
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name])


def test_a_run_without_a_network_says_that_the_gains_have_no_effect() -> None:
    """Latents of the DCT codec: one message, naming the codec and the keys."""
    from toys import Recorder

    recorder = Recorder.new()
    trainer(config(), dataset(), reporter=recorder)
    assert any("no perceptual network for latents of dct" in text for text in recorder.messages)
