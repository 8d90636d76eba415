"""How a video wants to be turned or mirrored before it is shown."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from lgt.video.clip import Levels


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways to lay a picture: rows and columns swapped first, then mirrored."""

    is_transposed: bool = False
    flips_x: bool = False
    flips_y: bool = False

    def upright(self, pixels: Levels) -> Levels:
        """Return coded pixels `[H, W, 3]` as they are to be shown."""
        shown = pixels.swapaxes(0, 1) if self.is_transposed else pixels
        return shown[:: -1 if self.flips_y else 1, :: -1 if self.flips_x else 1]


def orientation(frame: Any) -> Orientation:
    """Read the display matrix of a decoded frame.

    Its rows `(a b u) (c d v) (x y w)` send the pixel (p, q) to `x' = a p + c q + x` and
    `y' = b p + d q + y`; where it turns by no right angle, the nearest one is taken.

    Args:
        frame: `av.VideoFrame`.
    """
    from av.sidedata.sidedata import Type

    data = frame.side_data.get(Type.DISPLAYMATRIX)
    if data is None or len(bytes(data)) < 36:
        return Orientation()
    a, b, _, c, d = struct.unpack("=5i", bytes(data)[:20])
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(flips_x=a < 0, flips_y=d < 0)
    return Orientation(is_transposed=True, flips_x=c < 0, flips_y=b < 0)
