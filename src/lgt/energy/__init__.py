"""The geometric free energy: style as distribution, content as topology."""

from __future__ import annotations

from lgt.energy.assignment import assign_works, image_statistics, sinkhorn_log_plan
from lgt.energy.bands import Matching, Patches, StyleBands
from lgt.energy.bank import StyleBank
from lgt.energy.collection import Collection, CollectionDistance
from lgt.energy.content import SeenContent, Topology
from lgt.energy.critic import Critic, CriticDistance
from lgt.energy.features import Features, FeatureSWD, edge_difference, feature_distance
from lgt.energy.free_energy import FreeEnergy, Look
from lgt.energy.functional import (
    cosine_self_similarity,
    project_patches,
    quantile_means,
    random_directions,
    self_similarity_distance_sq,
    sliced_wasserstein_sq,
    unfold_patches,
    wasserstein_sq_1d,
)
from lgt.energy.guards import Identity, Kinetic
from lgt.energy.state import EnergyTerms, State, Term, Value
from lgt.energy.terms import PatchSWD, SelfSimilarity
from lgt.energy.whitening import channel_mean_removal, texture_whitening, whitening_of

__all__ = [
    "Collection",
    "CollectionDistance",
    "Critic",
    "CriticDistance",
    "EnergyTerms",
    "FeatureSWD",
    "Features",
    "FreeEnergy",
    "Identity",
    "Kinetic",
    "Look",
    "Matching",
    "PatchSWD",
    "Patches",
    "SeenContent",
    "SelfSimilarity",
    "State",
    "StyleBands",
    "StyleBank",
    "Term",
    "Topology",
    "Value",
    "assign_works",
    "channel_mean_removal",
    "cosine_self_similarity",
    "edge_difference",
    "feature_distance",
    "image_statistics",
    "project_patches",
    "quantile_means",
    "random_directions",
    "self_similarity_distance_sq",
    "sinkhorn_log_plan",
    "sliced_wasserstein_sq",
    "texture_whitening",
    "unfold_patches",
    "wasserstein_sq_1d",
    "whitening_of",
]
