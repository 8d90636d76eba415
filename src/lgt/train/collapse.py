"""Notice a training whose outputs do not depend on the style label, or can not."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lgt.build import build_network
from lgt.config.schema import Config
from lgt.errors import InputError
from lgt.nn import LGTUNet
from lgt.train.probe import id_swap_distance, outputs_of_styles


class CollapseGuard:
    """Measures at the end of each epoch how far the label moves the output of a source.

    Too little is less than `training.collapse_threshold`, and less than an untrained network of
    this configuration and seed gives: its random kernels tell styles apart by chance.

    Args:
        config: The configuration.
        x_src: The sources that are looked at, scaled.
        source_style_id: Their styles.
    """

    def __init__(self, config: Config, x_src: Tensor, source_style_id: Tensor) -> None:
        self.config, self._x_src, self._source_style_id = config, x_src, source_style_id
        self.count = 0
        """Epochs in a row with too little."""
        self._limit: float | None = None

    @property
    def limit(self) -> float:
        """The largest distance that is a collapse, in latent units; 0 where nothing is one."""
        if self._limit is None:
            threshold = self.config.training.collapse_threshold
            self._limit = max(threshold, self._by_chance()) if threshold else 0.0
        return self._limit

    @property
    def is_collapsed(self) -> bool:
        """Whether the patience is used up."""
        return self.count >= self.config.training.collapse_patience

    def look(self, network: LGTUNet, step: int) -> float:
        """Return the id-swap distance of a network, and count it; warm-up does not count."""
        distance = self._distance(network)
        is_dead = 0 < self.limit >= distance and step > self.config.training.warmup_steps
        self.count = self.count + 1 if is_dead else 0
        return distance

    def text(self, distance: float) -> str:
        """Say what happened and what to do."""
        return (
            f"outputs no longer depend on the style label: the mean difference between two styles "
            f"of one source is {distance:.2g}, not above {self.limit:.2g}, for {self.count} epochs "
            f"(the limit is the larger of training.collapse_threshold and what an untrained "
            f"network gives). Raise loss.w_style or training.learning_rate, or lower "
            f"loss.w_content; training.on_collapse=warn goes on regardless"
        )

    @torch.no_grad()
    def _distance(self, network: LGTUNet) -> float:
        network.eval()
        outputs = outputs_of_styles(network, self._x_src, self._source_style_id, self.config)
        return id_swap_distance(outputs)

    def _by_chance(self) -> float:
        network = build_network(self.config)
        if network.num_styles == 1:
            return 0.0  # There is nothing to compare.
        return self._distance(network.to(self._x_src.device))


def require_two_styles(
    config: Config,
    names: Sequence[str],
    source_styles: Sequence[int],
    target_shares: Sequence[float],
) -> None:
    """Refuse a training in which every source has the style that it is asked for.

    Raises:
        InputError: All that would be learned is to leave pictures as they are.
    """
    targets = {i for i in range(len(names)) if not target_shares or target_shares[i]}
    styles = targets | set(source_styles)
    is_identity = config.training.objective == "lgt" and config.loss.w_identity > 0
    if len(styles) == 1 and is_identity:
        raise InputError(
            f"training would only learn to leave pictures as they are: every source has the style "
            f"'{names[styles.pop()]}', which is the only one asked for; name a second folder in "
            "data.style_subdirs (photographs are a style like any other)"
        )
