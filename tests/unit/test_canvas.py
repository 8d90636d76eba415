"""The size at which pictures are painted, and how paintings are enlarged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scenes import array, distance, plain_model, smooth_picture, stylize

from lgt.codec import DCTCodec
from lgt.errors import InputError
from lgt.inference import LGTInference
from lgt.paint import compose
from lgt.paint.compose import Enlargement
from lgt.paint.controls import Controls
from lgt.paint.painter import Painter
from lgt.paint.picture import Picture
from lgt.paint.recipe import Recipe
from lgt.paint.torch_engine import TorchEngine


@pytest.fixture
def lgt(tmp_path: Path) -> LGTInference:
    return plain_model(tmp_path)


def test_enlarging_sharpens_only_what_was_kept() -> None:
    edge = np.where(np.arange(64) >= 32, np.float32(0.8), np.float32(0.2))
    photo = np.tile(edge, (1, 3, 64, 1))
    near = photo.reshape(1, 3, 16, 4, 16, 4).mean((3, 5))
    near[..., 8] = 0.5  # The edge lies inside a large pixel.
    size = photo.shape[-2:]
    kept = Enlargement(near, near, size).rows(photo)
    assert np.abs(kept - photo).max() < 0.02
    flat = np.full_like(near, 0.5)
    assert np.abs(Enlargement(near, flat, size).rows(photo) - 0.5).max() < 1e-3
    assert np.abs(Enlargement(near, near, size, 1.0).rows(photo) - photo).max() < 1e-5


def test_rows_of_an_enlargement_are_those_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    near, result = rng.random((2, 1, 3, 11, 17), np.float32)
    photo = rng.random((1, 3, 50, 60), np.float32)
    enlargement = Enlargement(near, result, (50, 60), 0.2)
    whole = enlargement.rows(photo)
    parts = [enlargement.rows(photo[..., top : top + 7, :], top) for top in range(0, 50, 7)]
    np.testing.assert_allclose(np.concatenate(parts, axis=2), whole, atol=2e-6)


def test_strokes_do_not_depend_on_the_camera(lgt: LGTInference) -> None:
    """The same scene with four times the pixels gives the same painting, but for its edges."""
    photo = smooth_picture(64, 48)
    camera = photo.resize((256, 192), Image.Resampling.BICUBIC)
    small = stylize(lgt, photo, canvas=0, detail=0.0)

    def seen(**options: Any) -> Image.Image:
        large = stylize(lgt, camera, detail=0.0, **options)
        assert large.size == camera.size
        return large.resize(photo.size, Image.Resampling.LANCZOS)

    near, far = (distance(seen(canvas=canvas), small) for canvas in (48, 0))
    assert near < 0.5 * far
    assert stylize(lgt, photo, canvas=64).tobytes() == stylize(lgt, photo, canvas=0).tobytes()
    assert stylize(lgt, photo).tobytes() == stylize(lgt, photo, canvas=0).tobytes()


class Rimmed(TorchEngine):
    """Decodes to black next to the borders, as networks shade what they see half of."""

    def decode(self, *arguments: Any) -> Any:
        pixels = super().decode(*arguments)
        inner = np.zeros_like(pixels)
        inner[..., 8:-8, 8:-8] = pixels[..., 8:-8, 8:-8]
        return inner


@pytest.mark.parametrize("size", [(400, 333), (650, 700)])
def test_what_borders_do_is_cut_off(size: tuple[int, int], lgt: LGTInference) -> None:
    photo = smooth_picture(*size)

    def border(canvas: int) -> int:
        recipe = Recipe(style={"paint": 1.0}, seed=0, controls=Controls(canvas=canvas))
        engines = Rimmed(lgt, DCTCodec(4)), TorchEngine(lgt, DCTCodec(4))
        rimmed, free = (np.asarray(Painter(e).paint(photo, recipe), np.int16) for e in engines)
        return int(np.abs(rimmed - free).max())

    assert border(320) == border(1000) == 0
    assert border(0) > 20, "the plain form is the arithmetic alone"


def test_a_graph_that_does_it_all_is_cut_where_the_picture_lies(lgt: LGTInference) -> None:
    seen: list[tuple[int, ...]] = []

    class Copies(TorchEngine):
        def at_once(self, photo: Any, *_: Any) -> Any:
            seen.append(photo.shape[-2:])
            return photo

    photo = smooth_picture(400, 333)
    for canvas in (400, 0):
        recipe = Recipe(style={"paint": 1.0}, seed=0, controls=Controls(canvas=canvas))
        assert Painter(Copies(lgt, DCTCodec(4))).paint(photo, recipe).tobytes() == photo.tobytes()
    assert seen == [(368, 432), (336, 400)]


@pytest.mark.parametrize(
    "controls",
    [
        Controls(canvas=48),
        Controls(canvas=0),
        Controls(canvas=48, strength=0.6, preserve_color=True),
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_painting_over_the_photo_changes_no_pixel(
    controls: Controls, mode: str, lgt: LGTInference
) -> None:
    """Strips of a large picture, side by side, need no row that another one has painted over."""
    engine = TorchEngine(lgt, DCTCodec(4))
    recipe = Recipe(style={"paint": 1.0}, mask=mask_of("gradient"), seed=0, controls=controls)
    photo = smooth_picture(160, 700).convert(mode)
    kept, lost = photo.copy(), photo.copy()
    plain = Painter(engine).paint(kept, recipe)
    over = Painter(engine).paint(lost, recipe, overwrite=True)
    assert kept.tobytes() == photo.tobytes()
    assert (over.mode, over.tobytes()) == (plain.mode, plain.tobytes())
    assert (over is lost) == (mode == "RGB")


def test_regions_are_laid_over_the_photo_itself(lgt: LGTInference) -> None:
    recipe = Recipe(style=None, regions=((mask_of("gradient"), {"paint": 1.0}),), seed=0)
    painter, photo = Painter(TorchEngine(lgt, DCTCodec(4))), smooth_picture()
    plain = painter.paint(photo.copy(), recipe)
    assert painter.paint(photo, recipe, overwrite=True).tobytes() == plain.tobytes()


def mask_of(name: str) -> Picture:
    """Return a mask, dark at the top."""
    return Picture(name, "0" * 16, Image.linear_gradient("L"))


def test_a_picture_is_painted_once(lgt: LGTInference, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = smooth_picture(256, 192)
    sizes: list[tuple[int, ...]] = []
    encode = TorchEngine.encode

    def seen(engine: TorchEngine, pictures: Any, *rest: Any) -> Any:
        sizes.append(pictures.shape[-2:])
        return encode(engine, pictures, *rest)

    monkeypatch.setattr(TorchEngine, "encode", seen)
    whole, soft = stylize(lgt, photo, canvas=64), stylize(lgt, photo, canvas=64, strength=0.5)
    stylize(lgt, photo, canvas=160)
    stylize(lgt, photo, style_scale=0.5)
    assert sizes == [(64, 88), (64, 88), (160, 216), (416, 544)], "the last with a margin"
    assert distance(soft, photo) < distance(whole, photo)


def test_a_canvas_is_a_size_of_strokes(lgt: LGTInference) -> None:
    photo = smooth_picture(256, 192)
    scaled = stylize(lgt, photo, canvas=0, style_scale=3.0)
    assert stylize(lgt, photo, canvas=64).tobytes() == scaled.tobytes()
    assert stylize(lgt, photo, canvas=128, style_scale=2.0).tobytes() == scaled.tobytes()
    for wrong in (-1, 31):
        with pytest.raises(InputError, match="canvas must be 0"):
            stylize(lgt, photo, canvas=wrong)


def test_the_canvas_is_that_of_the_training(lgt: LGTInference, tmp_path: Path) -> None:
    codec = DCTCodec(4)
    assert TorchEngine(lgt, codec).canvas == 640
    lgt.trained_side = 100
    assert TorchEngine(lgt, codec).canvas == 800


def test_strips_change_nothing(lgt: LGTInference, monkeypatch: pytest.MonkeyPatch) -> None:
    photo, mask = smooth_picture(80, 70), Image.linear_gradient("L")
    options = {"canvas": 64, "preserve_color": True, "mask": mask, "strength": 0.7}
    whole = stylize(lgt, photo, **options)
    monkeypatch.setattr(compose, "STRIP", 7)
    strips = stylize(lgt, photo, **options)
    assert np.abs(array(strips) - array(whole)).max() <= 1
