"""The configuration: every key, its default, its legal range, its meaning and its unit.

No default lives anywhere else. The core takes plain arguments; entry points read a :class:`Config`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from lgt.config.kinds import (
    Count,
    CountOrZero,
    Odd,
    Range,
    Scales,
    Seed,
    StyleNames,
    Switch,
    Unit,
    Weight,
    leaves_labels,
)


class Section(BaseModel):
    """A group of keys; unknown keys are refused and values can not be changed in place."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class ModelConfig(Section):
    """The network, `LGTUNet`."""

    latent_channels: Count = 4
    """Channels of the codec's latents (Stable Diffusion 1, 2 and XL: 4; Stable Diffusion 3: 16)."""
    base_channels: Annotated[int, Field(ge=8, multiple_of=8)] = 128
    """Hidden channels at full latent resolution; a multiple of 8."""
    style_dim: Count = 256
    """Length of a style embedding."""
    time_dim: Annotated[int, Field(ge=2, multiple_of=2)] = 256
    """Length of the time embedding; even."""
    num_styles: Count = 2
    """Number of styles; equals the length of `data.style_subdirs`."""
    num_encoder_blocks: Count = 2
    """Encoder stages; each halves the resolution (2: 32 x 32 -> 8 x 8)."""
    num_decoder_blocks: Count = 3
    """Decoder blocks, spread over the resolutions from the bottleneck up, finest served first."""
    style_kernel_size: Odd = 3
    """Side of the generated depthwise kernels, in latent pixels; odd."""
    style_injection: Literal["auto", "dynamic_conv", "adagn"] = "auto"
    """How the style enters. `dynamic_conv`: kernels made from the style embedding; `adagn`: scale
    and shift; `auto`: `adagn` for the objective `ot_cfm`, else `dynamic_conv`."""
    style_head_channels: CountOrZero = 0
    """Hidden channels of each style's own convolutions at the end of the network; 0: none."""
    num_corrector_blocks: CountOrZero = 0
    """Style blocks at full resolution behind the network, which move its end state down the energy
    (`lgt polish`); 0: none."""
    condition_on_source: bool = True
    """Give the network the source latent as extra input channels; never done for `ot_cfm`, where
    source and state together would give the velocity away."""
    use_gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""


class LossConfig(Section):
    """The free energy `w_style * style + w_content * content + ...` of the end state."""

    w_style: Weight = 1.0
    """Weight of the style energy."""
    w_content: Weight = 1.0
    """Weight of the content energy."""
    patch_size: Annotated[int, Field(ge=1, le=15)] = 3
    """Side of the patches whose distribution is matched, in latent pixels."""
    num_projections: Count = 64
    """Random directions per sliced Wasserstein estimate."""
    max_samples: Count = 4096
    """Most patches taken from one image, and from the style's works together."""
    use_velocity_reg: bool = False
    """Add the mean squared velocity along the path, times `vel_reg_weight`."""
    vel_reg_weight: Weight = 0.01
    """Weight of the mean squared velocity; acts where `use_velocity_reg` is true."""
    style_bands: Literal["split", "raw"] = "split"
    """What the style energy compares. `split`: texture, whitened over all styles, and colour apart;
    `raw`: patches as they are (the documented form)."""
    patch_dilations: Scales = (1, 2, 4)
    """Spacing of the patch taps, in latent pixels, one texture scale each; [1] is the documented
    form."""
    texture_gain: Weight = 10.0
    """Factor of the texture band inside the style energy (`split` only)."""
    color_gain: Weight = 3.0
    """Factor of the colour band inside the style energy (`split` only)."""
    perceptual_network: str = "auto"
    """Network whose features of latents are compared. `auto`: the one in this package where the
    codec's latents are Stable Diffusion's, else none; `decoded`: an image classifier looks
    at the decoded picture, exact and slower (extra `metrics`); `none`; or a folder that
    `scripts/train_perceptual.py` wrote."""
    backbones: Annotated[tuple[str, ...], Field(min_length=1)] = ("efficientnet-lite0",)
    """Image classifiers that look at the decoded picture, `decoded` only: efficientnet-lite0, 1, 2.
    What several agree on carries over better to judges that the training has not seen."""
    feature_crop: Annotated[int, Field(ge=0)] = 0
    """Side of the random square of each latent that features are taken of; 0 is the whole."""
    feature_gain: Weight = 4.0
    """Factor of the distance of feature distributions inside the style energy: what makes brush
    work. No effect without a perceptual network."""
    collection_gain: Weight = 0.0
    """Factor of the distance of all outputs of a style lately to all its works, position by
    position: Gaussians of features, a photo's distance counting as 1. No effect without a
    perceptual network."""
    discriminant_gain: Weight = 0.0
    """Factor of the same distance picture by picture, in the directions in which styles differ
    most."""
    recognition_gain: Weight = 0.0
    """Factor of the cross-entropy of telling each output's style in these directions: pushes
    single outputs that would be taken for another style, and no others."""
    critic_gain: Weight = 0.0
    """Factor of the learned distance: critics, small networks on the same features that are trained
    beside the model, look for what tells its outputs from works of their style. What they see and
    the moments do not is grain, repeated marks, and their absence. No effect without a perceptual
    network."""
    collection_memory: Count = 150
    """Outputs of a style that the distance of collections remembers."""
    works_root: str = ""
    """Folder of the styles' pictures (`data/raw`), whose features are then the reference of the
    distance of collections, `decoded` only; empty: decoded latents, with what the codec loses."""
    works_margin: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """Share of the width and height of these pictures that is left out at each side: frames, titles
    and seals stand there, and would be painted into plain skies."""
    detail: Unit = 0.0
    """Share of the brightness that the codec loses of a photo, given back to its output before
    features are taken, as `inference.detail` does at the end. `decoded` only; `works_root` has the
    photos."""
    feature_content_gain: Weight = 1.0
    """Factor of the feature distance to the source, blind to colour, inside the content energy. No
    effect without a perceptual network."""
    edge_gain: Weight = 0.0
    """Factor of the difference of edges from the source's inside the content energy (1 -
    correlation of edge maps); `decoded` only."""
    outline_gain: Weight = 0.0
    """The same at a quarter of the size, where strokes are too small to count: keeps large shapes,
    and skies free of shapes that the photo has not; `decoded` only."""
    clutter_gain: Weight = 0.0
    """Factor of shapes that the photo has not: streaks and blots in plain skies, which agreement of
    edges does not see where there are none. The same for all styles; `decoded` only."""
    assignment_softness: Annotated[float, Field(gt=0)] = 0.05
    """Entropy of the assignment, as a fraction of the mean squared distance between a source and a
    work: small pairs each source with few works, large with all alike."""
    assigned_works: CountOrZero = 4
    """Works pooled into each output's reference: those that optimal transport assigns to its
    source. 0: `bank_works` random works of the style instead."""
    bank_works: Count = 8
    """Works pooled into a random reference at each step, where `assigned_works` is 0; 1 is a single
    work."""
    content_patch_size: Annotated[int, Field(ge=1, le=15)] = 3
    """Patch side unfolded before the self-similarity; 1 is the documented form."""
    content_scales: Scales = (1, 2)
    """Average-pooling factors at which self-similarity is compared; [1] is the documented form."""
    content_centered: bool = False
    """Subtract each picture's mean colour before its self-similarity, so that a shift of the whole
    palette costs no content."""
    content_gain: Weight = 3.0
    """Factor of the self-similarity inside the content energy (it is small in absolute terms)."""
    content_by_style: dict[str, Weight] = {}
    """Factor of the content energy where the target is a certain style, by its name: above 1 keeps
    more of the photo, below 1 less; 1 for styles that are not named."""
    max_positions: Annotated[int, Field(ge=4)] = 1024
    """Most positions in one self-similarity matrix; more are sampled at random."""
    w_identity: Weight = 1.0
    """Weight of `mean |x_1 - x_src|` for samples whose target style is their own style, in place of
    the style energy; 0: these are treated like all others."""

    @property
    def velocity_weight(self) -> float:
        """Return the weight of the mean squared velocity that acts; 0 where it is off."""
        return self.vel_reg_weight if self.use_velocity_reg else 0.0


class TrainingConfig(Section):
    """The optimisation."""

    objective: Literal["lgt", "ot_cfm"] = "lgt"
    """What is minimised. `lgt`: free energy of the end state; `ot_cfm`: velocity matching with
    minibatch optimal transport."""
    batch_size: Count = 16
    """Sources per step and process."""
    window: CountOrZero = 0
    """Side of the random square of each source that a step paints, in latent positions (8 pixels);
    0: the whole. Pictures keep their scale, and a step the cost of the square."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """`adamw`, or `muon`: orthogonal momentum for the shared convolutions, AdamW for the rest."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    """Peak learning rate."""
    num_epochs: Count = 100
    """Passes; one epoch is `steps_per_epoch` steps."""
    steps_per_epoch: CountOrZero = 0
    """Optimiser steps in an epoch; 0: source latents / (batch size x processes), rounded up."""
    ode_integration_steps: Count = 5
    """Solver steps from the start state to t = 1 during training."""
    random_path: bool = False
    """Draw the number of steps anew at each step of training, from 1 to `ode_integration_steps`,
    follow the path for some of them (drawn, too) with up to three times the noise of inference, and
    go to t = 1 at once from there, which alone has a gradient: states on the way are learned as
    well, for samplers of several steps."""
    label_drop_prob: Annotated[float, Field(ge=0), AfterValidator(leaves_labels)] = 0.1
    """Probability, per sample, that the style label is replaced by the null style."""
    solver: Literal["euler", "heun"] = "euler"
    """Drift integrator (`heun` evaluates the network twice a step)."""
    start: Literal["source", "noised_source", "noise"] = "source"
    """Start state. `source`: the source; `noised_source`: `(1-t) noise + t source`, t drawn from
    `start_time_range`; `noise`: pure noise at t = 0. The documented form is `noised_source` with
    range [0, 1]."""
    start_time_range: Range = (0.0, 1.0)
    """Range of the uniform start time of `noised_source`."""
    use_langevin: bool = True
    """Add the noise of inference (`inference.temperature_*`) during training too."""
    warmup_steps: CountOrZero = 100
    """Steps of linear learning-rate warm-up."""
    lr_schedule: Literal["cosine", "constant"] = "cosine"
    """Learning rate after warm-up."""
    min_lr_ratio: Unit = 0.05
    """Final learning rate of `cosine`, as a fraction of the peak."""
    weight_decay: Weight = 0.0
    """Decoupled weight decay."""
    grad_clip_norm: Weight = 1.0
    """Largest global gradient norm; 0 switches clipping off."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay per step of the averaged weights that inference uses (warmed up); 0 switches averaging
    off."""
    mixed_precision: Literal["bf16", "no"] = "bf16"
    """Autocast of the network, where the device computes in it; energies are always float32."""
    compile: bool = False
    """Run the network through `torch.compile`."""
    channels_last: bool = True
    """Keep network and latents in channels-last memory format."""
    target_shares: dict[str, Weight] = {}
    """How often a style is asked for, relative to the others, by its name: 2 is twice as often, 0
    never; 1 for styles that are not named. More steps for those that are hard to learn."""
    init_from: str = ""
    """Model whose (averaged) weights the run starts with, for fine-tuning: a checkpoint, or
    `embedded`; its `model` section must be the same. Empty: weights drawn from `seed`."""
    seed: Seed = 0
    """Seed of weights, sampling and noise."""
    collapse_threshold: Weight = 1e-3
    """Largest mean |difference| of one source's outputs for two styles that counts as none, in
    latent units; never less than that of an untrained network, whose random kernels tell styles
    apart by chance. 0 switches the guard off."""
    collapse_patience: Count = 5
    """Epochs in a row, after the warm-up, at or below that before `on_collapse` acts."""
    on_collapse: Literal["stop", "warn"] = "stop"
    """What to do when outputs no longer depend on the style label."""


class DataConfig(Section):
    """The latents."""

    data_root: str = "data/latents"
    """Folder that `lgt preprocess` wrote, relative to the working directory."""
    style_subdirs: Annotated[StyleNames, Field(min_length=1)] = ("style0", "style1")
    """Style folders under `data_root`; the position is the style id."""
    source_subdirs: StyleNames = ()
    """Styles that sources are drawn from, in equal shares; empty: all."""
    codec: str = "auto"
    """Image codec: `auto` (the environment's LGT_CODEC, else `embedded`), `embedded`,
    `dct[:channels]`, a hub id, or a local folder."""
    num_workers: CountOrZero = 2
    """Threads that read latents and images."""
    in_memory: Switch = "auto"
    """Hold all latents in memory; `false` needs shards, which `auto` does not hold above 1 GiB."""


class CheckpointConfig(Section):
    """Files that training writes."""

    save_dir: str = "checkpoints"
    """Folder of checkpoints, logs and samples."""
    save_every: Count = 5
    """Epochs between checkpoints."""
    keep_last: CountOrZero = 0
    """Checkpoints to keep; 0 keeps all."""
    num_samples: CountOrZero = 4
    """Sources on the contact sheet written beside each checkpoint; 0 writes none."""
    preview_dir: str = ""
    """Folder of photos, held out from training, that the contact sheets show: at most
    `num_samples`, at equal steps. Empty: sources of the data."""
    tensorboard: bool = False
    """Write numbers and contact sheets for TensorBoard to `tensorboard` in `save_dir` (extra
    `tensorboard`)."""


class InferenceConfig(Section):
    """The sampler."""

    num_steps: Count = 20
    """Solver steps."""
    temperature_lambda: Weight = 0.1
    """Diffusion coefficient sigma in the late phase, in latent units per square root of time."""
    temperature_threshold: Unit = 0.5
    """Time from which noise is added; 1 switches it off."""
    use_cfg: bool = True
    """Classifier-free guidance."""
    cfg_scale: Weight = 2.0
    """Guidance scale s in `u + s (c - u)`; 1 is off."""
    cfg_decay: bool = True
    """Let the scale fall linearly from `cfg_scale` at the start to 1 at t = 1."""
    cfg_rescale: Unit = 0.0
    """Share by which the guided velocity is brought back to the spread of the conditional one, so
    that a large `cfg_scale` does not overdraw: 1 wholly, 0 is the documented form."""
    start_time: Unit = 0.0
    """Start time t of `noised_source`: 0 is pure noise, towards 1 keeps more of the source."""
    detail: Unit = 0.75
    """Share of the brightness that the codec loses of the photo, given back to the painting;
    0 is the documented form."""
    color: Unit = 0.0
    """Share of the photo's broad colours (a sky, skin, a dress) given back to the painting, at its
    own saturation; 0 is the documented form."""


class Config(Section):
    """All sections of `config.json`."""

    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    training: TrainingConfig = TrainingConfig()
    data: DataConfig = DataConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    inference: InferenceConfig = InferenceConfig()

    @model_validator(mode="after")
    def _styles_agree(self) -> Config:
        names = self.data.style_subdirs
        if self.model.num_styles != len(names):
            raise ValueError(
                f"model.num_styles: {self.model.num_styles}, but data.style_subdirs names "
                f"{len(names)} ({', '.join(names)}); set num_styles to {len(names)}"
            )
        named = {
            "data.source_subdirs": self.data.source_subdirs,
            "loss.content_by_style": self.loss.content_by_style,
            "training.target_shares": self.training.target_shares,
        }
        for key, mentioned in named.items():
            strangers = [name for name in mentioned if name not in names]
            if strangers:
                raise ValueError(
                    f"{key}: {', '.join(strangers)} not among data.style_subdirs "
                    f"({', '.join(names)})"
                )
        if self.is_blind and self.training.start == "noise":
            raise ValueError(
                "training.start: noise with model.condition_on_source=false never sees the photo, "
                "so every photo would give the same picture; set condition_on_source to true, or "
                "start to noised_source or source"
            )
        if not any(self.training.target_shares.get(name, 1.0) for name in names):
            raise ValueError("training.target_shares: 0 for every style; leave one above 0")
        return self

    @property
    def is_blind(self) -> bool:
        """Whether only the start state shows the network its photo."""
        return self.training.objective == "lgt" and not self.model.condition_on_source
