"""Build the free energy of a configuration: its terms, and what they look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from lgt.build.networks import (
    DECODED_SCALE,
    PerceptualFeatures,
    collection_gains,
    seen_gains,
    uses_features,
)
from lgt.config.schema import Config
from lgt.data.clips import (
    Counted,
    LatentWorks,
    PictureWorks,
    Works,
    pictures_in,
    uncounted,
)
from lgt.data.source_pictures import SourcePictures, Squares
from lgt.energy import (
    Collection,
    CollectionDistance,
    Critic,
    CriticDistance,
    FeatureSWD,
    FreeEnergy,
    Identity,
    Kinetic,
    Look,
    Matching,
    Patches,
    SeenContent,
    SelfSimilarity,
    StyleBands,
    StyleBank,
    Term,
    Topology,
)
from lgt.energy.bank import Latents
from lgt.energy.collection import gaussians_of
from lgt.energy.detail import DetailedFeatures, Photos
from lgt.energy.processes import num_processes
from lgt.energy.works import WorksGaussians
from lgt.errors import InputError
from lgt.image.grey import luminance
from lgt.nn.decoded import AFAR_SIDE, DecodedFeatures, FromAfar


def build_bank(config: Config, latents: Latents, style_ids: Tensor) -> StyleBank:
    """Build the bank of works over scaled latents `[N, C, H, W]` and their styles `[N]`."""
    return StyleBank(
        latents, style_ids, config.model.num_styles, softness=config.loss.assignment_softness
    )


def build_energy(
    config: Config,
    bank: StyleBank,
    features: PerceptualFeatures | None = None,
    latent_paths: Sequence[Path] = (),
    works: Works | None = None,
    photos: Photos | None = None,
) -> FreeEnergy:
    """Build the free energy of `loss` over the works of `bank`.

    Args:
        config: The configuration.
        bank: The works' latents.
        features: What the energy looks with; without it the feature gains count as 0.
        latent_paths: Files of the bank's latents, which `loss.detail` finds the photos by.
        works: What collections and critics look at; None: what :func:`build_works` gives.
        photos: Gives the photos of `loss.detail`; None: they are looked for in `loss.works_root`.
    """
    loss = config.loss
    style = style_terms(config, bank, features, works)
    content = content_terms(config, features)
    guards = guard_terms(config)
    is_kept = any(isinstance(term, SeenContent) for term in content)
    return FreeEnergy(
        [*style, *content, *guards],
        w_style=loss.w_style,
        w_content=loss.w_content,
        look=Look(
            features.features if features is not None and uses_features(config) else None,
            crop=loss.feature_crop,
            detail=_detail(config, bank, features, latent_paths, photos),
            sources=features.content if features is not None and is_kept else None,
        ),
        spares_own=loss.w_identity > 0,
        content_factors=_content_factors(config),
    )


def style_terms(
    config: Config,
    bank: StyleBank,
    features: PerceptualFeatures | None,
    works: Works | None = None,
) -> list[Term]:
    """Return the terms of the style energy: bands of single outputs, and collections."""
    loss = config.loss
    is_split = loss.style_bands == "split"
    patches = Patches(
        is_split, loss.patch_size, loss.patch_dilations, loss.num_projections, loss.max_samples
    )
    gains = {
        "texture": loss.texture_gain if is_split else 1.0,
        "color": loss.color_gain,
        "feature": loss.feature_gain,
    }
    generator = torch.Generator().manual_seed(config.training.seed)
    feature = None
    if features is not None and loss.feature_gain:
        feature = FeatureSWD(
            features.features, bank, num_projections=loss.num_projections, crop=loss.feature_crop
        )
    bands = StyleBands(
        bank,
        gains,
        texture=patches.texture(bank, generator) if gains["texture"] else [],
        color=patches.color(),
        feature=feature,
        matching=Matching(assigned_works=loss.assigned_works, bank_works=loss.bank_works),
    )
    terms: list[Term] = [bands]
    if features is None:
        return terms
    if works is None:
        works = build_works(config, bank, features)  # One for both, which keeps what it has read.
    if works is None:
        return terms
    collection = build_collection(config, bank, features, works)
    if collection is not None:
        terms.append(Collection(collection, collection_gains(config)))
    critic = build_critic(config, bank, works)
    if critic is not None:
        terms.append(Critic(critic, loss.critic_gain))
    return terms


def content_terms(config: Config, features: PerceptualFeatures | None, **more: float) -> list[Term]:
    """Return the terms of the content energy that have a gain.

    Args:
        config: The configuration.
        features: What the energy looks with.
        more: Gains of :class:`SeenContent` in the place of the configuration's, or beside them.
    """
    loss = config.loss
    similarity = SelfSimilarity(
        patch_size=loss.content_patch_size,
        scales=loss.content_scales,
        max_positions=loss.max_positions,
        is_centered=loss.content_centered,
    )
    seen = SeenContent({} if features is None else {**seen_gains(config), **more})
    terms: list[Term] = [Topology(similarity, loss.content_gain), seen]
    return [term for term in terms if any(term.gains.values())]


def guard_terms(config: Config) -> list[Term]:
    """Return the guards; the velocity is measured where it is given, whatever its weight."""
    loss = config.loss
    identity = [Identity(loss.w_identity)] if loss.w_identity else []
    return [*identity, Kinetic(loss.velocity_weight)]


def target_shares(config: Config) -> list[float]:
    """Return `training.target_shares` as a number for each style; empty where it names none."""
    shares = config.training.target_shares
    return [shares.get(name, 1.0) for name in config.data.style_subdirs] if shares else []


def _content_factors(config: Config) -> Tensor | None:
    """Return `loss.content_by_style` as numbers `[K]`; None where it names no style."""
    factors, names = config.loss.content_by_style, config.data.style_subdirs
    return torch.tensor([factors.get(name, 1.0) for name in names]) if factors else None


def _detail(
    config: Config,
    bank: StyleBank,
    features: PerceptualFeatures | None,
    latent_paths: Sequence[Path],
    photos: Photos | None,
) -> DetailedFeatures | None:
    loss = config.loss
    if not loss.detail or features is None:
        return None
    if not (isinstance(features, DecodedFeatures) and (photos or loss.works_root)):
        raise InputError(
            "loss.detail: needs loss.perceptual_network=decoded and the photos in loss.works_root; "
            "set these, or detail to 0"
        )
    if photos is None:
        size = bank.latents.shape[-1] * DECODED_SCALE
        photos = SourcePictures(Path(loss.works_root), latent_paths, size, DECODED_SCALE)
    return DetailedFeatures(features, photos, luminance, loss.detail)


def build_collection(
    config: Config, bank: StyleBank, features: PerceptualFeatures, works: Works
) -> CollectionDistance | None:
    """Build the distance of collections, looking at all works; None if its gains are 0.

    Raises:
        InputError: A style has no work that can be read.
    """
    loss = config.loss
    if not any(collection_gains(config).values()):
        return None
    names = config.data.style_subdirs
    origin = names.index(config.data.source_subdirs[0]) if config.data.source_subdirs else 0
    found = CollectionDistance(
        works.clips(),
        num_styles=bank.num_styles,
        origin=origin,
        memory=loss.collection_memory,
        num_branches=features.num_branches,
    )
    found.afar = works_afar(features, works, bank.num_styles)
    return found


def works_afar(
    features: PerceptualFeatures, works: Works, num_styles: int
) -> WorksGaussians | None:
    """Look at all works from afar; None if they are seen so near by, or can not be shrunk.

    Args:
        features: What looks at them.
        works: Of all styles.
        num_styles: Their number.
    """
    if not isinstance(features, DecodedFeatures) or works.side <= AFAR_SIDE:
        return None
    seen = works.seen_by(FromAfar(features))
    return gaussians_of(seen.clips(), num_styles=num_styles, num_branches=features.num_branches)


def build_critic(config: Config, bank: StyleBank, works: Works) -> CriticDistance | None:
    """Build the learned distance, which draws its own works; None if its gain is 0."""
    if not config.loss.critic_gain:
        return None
    return CriticDistance(
        works.draw,
        num_styles=bank.num_styles,
        num_works=config.training.batch_size * num_processes(),
        seed=config.training.seed,
    )


def build_works(
    config: Config,
    bank: StyleBank,
    features: PerceptualFeatures | None,
    counted: Counted = uncounted,
) -> Works | None:
    """Build what collections and critics look at: pictures where there are some, else latents.

    Args:
        config: The configuration.
        bank: The works' latents.
        features: What looks at them.
        counted: Is told how many works the collections have looked at.

    Returns:
        None without `features`, or if the gains of collections and critics are 0.

    Raises:
        InputError: `loss.works_root` without decoded features; `loss.works_margin` without
            `works_root`.
    """
    loss, crop = config.loss, config.loss.feature_crop
    if features is None or not (loss.critic_gain or any(collection_gains(config).values())):
        return None
    if loss.works_margin and not loss.works_root:
        raise InputError(
            "loss.works_margin: is of the pictures in loss.works_root, which is empty; set that, "
            "or works_margin to 0"
        )
    if not loss.works_root:
        return LatentWorks(
            features.features, bank.latents, bank.style_ids, crop, counted, DECODED_SCALE
        )
    if not isinstance(features, DecodedFeatures):
        raise InputError(
            "loss.works_root: only loss.perceptual_network=decoded looks at pictures; leave "
            "works_root empty, or set it"
        )
    return PictureWorks(
        features.features_of_pictures,
        pictures_in(Path(loss.works_root), config.data.style_subdirs),
        Squares(bank.latents.shape[-1] * DECODED_SCALE),
        crop * DECODED_SCALE,
        margin=loss.works_margin,
        device=bank.latents.device,
        counted=counted,
    )
