"""Every configuration key changes what it says; a key that is not in the table fails the test.

Each case sets one key to another value than the toy configuration's, measures the quantity that the
key is about before and after, and compares: with the expected pair where it is known, else for
being different.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import data_probes
import look_probes
import probes
import pytest
import torch
from probes import Probe, of_network
from toys import PACKAGED, SMALL, WITH_FEATURES, Recorder, config, objective, trainer

from lgt.build import build_perceptual_network
from lgt.codec import CodecSpec
from lgt.config.reference import all_keys
from lgt.device import computes_in_bf16
from lgt.errors import InputError


@dataclass(frozen=True)
class Case:
    """A key's other value, and what it is seen by."""

    value: Any
    probe: Probe
    expected: tuple[Any, Any] | None = None
    """The quantity before and after, if it is known; else it has to differ."""
    given: dict[str, Any] = field(default_factory=dict)
    """Settings, other than the key's own, under which it acts."""


REMEMBERING = {**WITH_FEATURES, "loss.collection_memory": 2}
RANDOM = {"loss.assigned_works": 0}
GUIDED = {"training.label_drop_prob": 0.1}
LATE_NOISE = {"inference.temperature_lambda": 0.5, "inference.temperature_threshold": 0.0}
NOISED = {"training.start": "noised_source"}
COLLAPSING = {
    "training.collapse_threshold": 1e6,
    "training.collapse_patience": 2,
    "training.num_epochs": 3,
    "training.steps_per_epoch": 1,
}
WARMING = {"training.steps_per_epoch": 2, "training.num_epochs": 2}

CASES: dict[str, Case] = {
    "model.latent_channels": Case(16, of_network(lambda n: n.conv_out.out_channels), (4, 16)),
    "model.base_channels": Case(16, of_network(lambda n: n.conv_in.out_channels), (8, 16)),
    "model.style_dim": Case(
        12, of_network(lambda n: n.style_embedding.table.embedding_dim), (8, 12)
    ),
    "model.time_dim": Case(12, of_network(lambda n: n.time_embedding.mlp[0].in_features), (8, 12)),
    "model.num_styles": Case(
        3,
        of_network(lambda n: n.style_embedding.table.num_embeddings),
        (2 + 1, 3 + 1),
        {"data.style_subdirs": ["photo", "paint", "print"]},
    ),
    "model.num_encoder_blocks": Case(
        2, of_network(lambda n: (len(n.downs), n.bottleneck.conv_1.in_channels)), ((1, 16), (2, 32))
    ),
    "model.num_decoder_blocks": Case(
        5, of_network(lambda n: sum(len(level) for level in n.levels())), (2, 5)
    ),
    "model.style_kernel_size": Case(
        5,
        of_network(
            lambda n: (
                n.condition(torch.tensor([0]), None, torch.zeros(1, 4, 8, 8)).styles[0].shape[-1]
            )
        ),
        (3 * 3 + 1, 5 * 5 + 1),
    ),
    "model.style_injection": Case(
        "adagn",
        of_network(lambda n: type(n.decoder[0][0]).__name__),
        ("StyleBlock", "AdaGNBlock"),
    ),
    "model.style_head_channels": Case(
        6, of_network(lambda n: n.head.shapes if n.head else None), (None, ((6, 4), (4, 6)))
    ),
    "model.num_corrector_blocks": Case(
        2, of_network(lambda n: len(n.corrector.blocks) if n.corrector else None), (None, 2)
    ),
    "model.condition_on_source": Case(False, of_network(lambda n: n.conv_in.in_channels), (8, 4)),
    "model.use_gradient_checkpointing": Case(True, probes.passes_of_a_block, (2, 4)),
    "loss.w_style": Case(2.0, probes.energy),
    "loss.w_content": Case(2.0, probes.energy),
    "loss.patch_size": Case(5, probes.energy),
    "loss.num_projections": Case(16, probes.directions_drawn, (8, 16)),
    "loss.max_samples": Case(32, probes.energy),
    "loss.use_velocity_reg": Case(True, probes.velocity_term),
    "loss.vel_reg_weight": Case(0.5, probes.energy, given={"loss.use_velocity_reg": True}),
    "loss.style_bands": Case("raw", probes.energy),
    "loss.patch_dilations": Case([1, 2], probes.energy),
    "loss.texture_gain": Case(5.5, probes.energy),
    "loss.color_gain": Case(1.7, probes.energy),
    "loss.perceptual_network": Case(PACKAGED, probes.energy),
    "loss.backbones": Case(
        ["efficientnet-lite1", "efficientnet-lite2"],
        look_probes.lookers,
        (["lite0"], ["lite1", "lite2"]),
    ),
    "loss.feature_crop": Case(4, probes.energy, given=WITH_FEATURES),
    "loss.feature_gain": Case(1.0, probes.energy, given=WITH_FEATURES),
    "loss.collection_gain": Case(2.0, probes.energy, given=REMEMBERING),
    "loss.discriminant_gain": Case(2.0, probes.energy, given=REMEMBERING),
    "loss.recognition_gain": Case(2.0, probes.energy, given=REMEMBERING),
    "loss.critic_gain": Case(2.0, probes.energy, given=WITH_FEATURES),
    "loss.collection_memory": Case(
        2, probes.energy, given={**WITH_FEATURES, "loss.collection_gain": 1.0}
    ),
    "loss.works_root": Case("works", look_probes.first_reference, ("latents", "pictures")),
    "loss.works_margin": Case(
        0.25, look_probes.side_of_works, (12 * 8, 12 * 8 // 2), {"loss.works_root": "works"}
    ),
    "loss.detail": Case(
        0.5, look_probes.perceptual_with_photos, given={"loss.works_root": "works"}
    ),
    "loss.feature_content_gain": Case(3.0, probes.energy, given=WITH_FEATURES),
    "loss.edge_gain": Case(3.0, look_probes.edge_energy),
    "loss.outline_gain": Case(3.0, look_probes.edge_energy),
    "loss.clutter_gain": Case(3.0, look_probes.edge_energy),
    "loss.assignment_softness": Case(5.0, probes.energy),
    "loss.assigned_works": Case(5, probes.energy),
    "loss.bank_works": Case(3, probes.energy, given=RANDOM),
    "loss.content_patch_size": Case(1, probes.energy),
    "loss.content_centered": Case(True, probes.energy),
    "loss.content_scales": Case([1], probes.energy),
    "loss.content_gain": Case(7.7, probes.energy),
    "loss.content_by_style": Case({"paint": 3.0}, probes.energy),
    "loss.max_positions": Case(16, probes.energy),
    "loss.w_identity": Case(2.0, probes.energy, given={"training.batch_size": 8}),
    "training.objective": Case("ot_cfm", probes.evaluations, (2, 1)),
    "training.batch_size": Case(8, lambda c: len(objective(c)[1].x_src), (4, 8)),
    "training.window": Case(4, data_probes.painted_side, (8, 4)),
    "training.optimizer": Case(
        "muon", lambda c: type(trainer(c).optimizer.optimizer).__name__, ("AdamW", "Muon")
    ),
    "training.learning_rate": Case(1e-4, lambda c: probes.rates(c)[0], (2e-3, 1e-4)),
    "training.num_epochs": Case(3, probes.rows, (2, 3)),
    "training.steps_per_epoch": Case(
        0, lambda c: trainer(c).steps_per_epoch, (7, 12 // 4), {"training.steps_per_epoch": 7}
    ),
    "training.ode_integration_steps": Case(5, probes.evaluations, (2, 5)),
    "training.random_path": Case(
        True, probes.evaluations, given={"training.ode_integration_steps": 5}
    ),
    "training.label_drop_prob": Case(0.9, probes.null_labels, (0.0, 1.0)),
    "training.solver": Case("heun", probes.evaluations, (2, 4)),
    "training.start": Case("noise", probes.training_state),
    "training.start_time_range": Case([0.9, 1.0], probes.training_state, given=NOISED),
    "training.use_langevin": Case(
        True, probes.training_state, given={"training.use_langevin": False, **LATE_NOISE}
    ),
    "training.warmup_steps": Case(
        2,
        lambda c: probes.rates(c)[:2],
        ([2e-3, 2e-3], [1e-3, 2e-3]),
        {**WARMING, "training.lr_schedule": "constant"},
    ),
    "training.lr_schedule": Case("constant", lambda c: probes.rates(c)[-1] == 2e-3, (False, True)),
    "training.min_lr_ratio": Case(1.0, lambda c: probes.rates(c)[-1] == 2e-3, (False, True)),
    "training.weight_decay": Case(0.5, probes.after_steps),
    "training.grad_clip_norm": Case(1e-7, probes.after_steps),
    "training.ema_decay": Case(0.0, lambda c: probes.averaged(c) is None, (False, True)),
    "training.mixed_precision": Case(
        "bf16",
        probes.working_dtype,
        (torch.float32, torch.bfloat16 if computes_in_bf16("cpu") else torch.float32),
    ),
    "training.compile": Case(True, probes.compiled, ([], ["velocity"])),
    "training.channels_last": Case(False, probes.is_channels_last, ((True, True), (False, False))),
    "training.target_shares": Case({"paint": 0.0}, probes.targets_of_a_batch, (2, 1)),
    "training.init_from": Case("model.pt", probes.weights_before_training),
    "training.seed": Case(1, probes.first_weights),
    "training.collapse_threshold": Case(
        0.0, probes.collapse, ("stopped at 2", "warned 0 times"), COLLAPSING
    ),
    "training.collapse_patience": Case(
        1, probes.collapse, ("stopped at 2", "stopped at 1"), COLLAPSING
    ),
    "training.on_collapse": Case(
        "warn", probes.collapse, ("stopped at 2", "warned 2 times"), COLLAPSING
    ),
    "data.data_root": Case(
        "more", lambda c: probes.loaded(c)[1], (4, 6), {"data.data_root": "latents"}
    ),
    "data.style_subdirs": Case(
        ["paint", "photo"],
        lambda c: probes.loaded(c)[0],
        (("photo", "paint"), ("paint", "photo")),
        {"data.data_root": "latents"},
    ),
    "data.source_subdirs": Case(["paint"], probes.source_styles, ([0, 1], [1])),
    "data.codec": Case("dct:7", probes.sheet_codec, ("dct:4", "dct:7")),
    "data.num_workers": Case(5, probes.reading_threads, (2, 5), {"data.data_root": "latents"}),
    "data.in_memory": Case("false", data_probes.held, (True, False)),
    "checkpoint.save_dir": Case(
        "elsewhere", probes.files_written, (["checkpoints"], ["elsewhere"])
    ),
    "checkpoint.save_every": Case(2, probes.saved_epochs, ([1, 2], [2])),
    "checkpoint.keep_last": Case(1, probes.saved_epochs, ([1, 2], [2])),
    "checkpoint.num_samples": Case(3, probes.sheet_height, (0, 3)),
    "checkpoint.preview_dir": Case(
        "photos", probes.sheet_columns, (3, 4), {"checkpoint.num_samples": 1}
    ),
    "checkpoint.tensorboard": Case(True, probes.event_files, (0, 1)),
    "inference.num_steps": Case(7, probes.inference_calls, ((4, 2), (7, 2)), given=GUIDED),
    "inference.temperature_lambda": Case(0.5, probes.inferred),
    "inference.temperature_threshold": Case(1.0, probes.inferred),
    "inference.use_cfg": Case(False, probes.inference_calls, ((4, 2), (4, 1)), given=GUIDED),
    "inference.cfg_scale": Case(5.0, probes.inferred, given=GUIDED),
    "inference.cfg_decay": Case(False, probes.inferred, given=GUIDED),
    "inference.cfg_rescale": Case(0.5, probes.inferred, given=GUIDED),
    "inference.start_time": Case(0.8, probes.inferred, given=NOISED),
    "inference.detail": Case(0.7, probes.painted),
    "inference.color": Case(0.7, probes.painted),
}


def test_the_table_is_complete() -> None:
    keys = {key.dotted for key in all_keys()}
    assert len(keys) > 60
    assert keys - set(CASES) == set(), "a key without a case may do nothing at all"
    assert set(CASES) - keys == set()


@pytest.mark.parametrize("key", CASES)
def test_the_key_changes_what_it_says(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[key]
    given = {"training.label_drop_prob": 0.0, **case.given}
    if key == "model.num_styles":  # The two keys have to agree.
        given, changed = {}, {**case.given, key: case.value}
    else:
        changed = {**given, key: case.value}
    section, name = key.split(".")
    assert getattr(getattr(config(given), section), name) != getattr(
        getattr(config(changed), section), name
    ), "choose another value for this case"

    def probe(settings: dict[str, Any], folder: str) -> Any:
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        return case.probe(config(settings))

    before, after = probe(given, "before"), probe(changed, "after")
    if case.expected is None:
        assert before != after
        assert before == probe(given, "again"), "else a difference would say nothing"
    else:
        assert (before, after) == case.expected


@pytest.mark.parametrize(
    ("key", "term"),
    [
        ("loss.w_style", "style"),
        ("loss.w_content", "content"),
        ("loss.vel_reg_weight", "velocity"),
    ],
)
def test_weights_multiply_their_term(key: str, term: str) -> None:
    given = {"loss.use_velocity_reg": True}
    one, three = (probes.energies(config({**given, key: weight})) for weight in (1.0, 3.0))
    assert one[term] == three[term] > 0
    assert three["total"] - one["total"] == pytest.approx(2 * one[term], rel=1e-4)


def test_bf16_is_left_where_it_is_imitated(has_bf16: bool) -> None:
    """Network and what it is looked at with work in the format that the processor computes in."""
    expected = torch.bfloat16 if has_bf16 else torch.float32
    settings = config({"training.mixed_precision": "bf16"})
    assert probes.working_dtype(settings) == expected
    loss = settings.loss.model_copy(
        update={"perceptual_network": "decoded", "collection_gain": 1.0}
    )
    codec = CodecSpec(name="any", source="embedded", latent_channels=4)
    look = build_perceptual_network(settings.model_copy(update={"loss": loss}), codec)
    assert look is not None and next(look.parameters()).dtype == expected
    recorder = Recorder.new()
    trainer(settings, reporter=recorder)
    told = [text for text in recorder.messages if "does not compute in bf16" in text]
    assert len(told) == (0 if has_bf16 else 1)


def test_defaults_of_the_toy_configuration_are_real_keys() -> None:
    keys = {key.dotted for key in all_keys()}
    assert {f"{section}.{name}" for section in SMALL for name in SMALL[section]} <= keys


def test_a_margin_of_no_pictures_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"loss\.works_margin: .*set that, or works_margin to 0"):
        look_probes.first_reference(config({"loss.works_margin": 0.1}))
