"""Windows of pictures that a style is learned from, and what its energy sees of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scenes import pictures, plain_model

from lgt.codec import encode_image
from lgt.errors import InputError
from lgt.inference import LGTInference
from lgt.train.new_style import LearningPlan, Pictures, StyleLearner, spread
from lgt.train.views import encode_views, num_crops, picture_files


@pytest.fixture
def lgt(tmp_path: Path) -> LGTInference:
    return plain_model(tmp_path)


def test_the_energy_sees_the_detail_that_inference_gives_back(tmp_path: Path) -> None:
    """Of the windows that are painted, in the share of the model."""
    shipped = LGTInference("embedded", "cpu")
    assert shipped.config.inference.detail > 0
    folders = (pictures(tmp_path / "photos", 1), pictures(tmp_path / "works", 1, 1))
    photos, works = (picture_files(folder, "FOLDER") for folder in folders)
    codec = shipped.load_codec()
    of_photos, of_works = (encode_views(files, codec, 256) for files in (photos, works))
    given = Pictures(photos, works, of_photos.squares)
    work = StyleLearner(
        shipped, of_photos.latents, of_works.latents, LearningPlan(steps=1, base="photo"), given
    )
    detail = work.objective.energy.look.detail
    assert detail is not None and detail.share == shipped.config.inference.detail
    zero = torch.zeros(1, dtype=torch.int64)
    shown = detail.photos(zero, torch.tensor([[1, 2]]), (4, 5))
    assert torch.equal(shown[0], of_photos.squares[0, :, 8:40, 16:56] / 255)


def test_views(lgt: LGTInference, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "works", 2)
    (folder / "bad.png").write_bytes(b"no picture")
    codec = lgt.load_codec()
    files = picture_files(folder, "FOLDER")
    views = encode_views(files, codec, 64, crops=3, mirrored=True)
    assert (len(views.latents), views.num_pictures, len(views.problems)) == (12, 2, 1)
    assert views.squares.shape == (12, 3, 64, 64)
    again = torch.cat([encode_image(codec, square[None] / 255) for square in views.squares])
    assert torch.allclose(again, views.latents, atol=1e-4)
    with pytest.raises(InputError, match="no picture could be read"):
        encode_views([folder / "bad.png"], codec, 64)
    with pytest.raises(InputError, match="no such folder"):
        picture_files(tmp_path / "none", "FOLDER")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no picture"):
        picture_files(tmp_path / "empty", "FOLDER")
    assert [num_crops(n) for n in (1, 2, 32, 63, 64, 300)] == [24, 16, 1, 1, 1, 1]
    assert spread([Path(str(i)) for i in range(10)], 3) == [Path("0"), Path("3"), Path("6")]


def test_windows_at_the_scale_of_the_training(lgt: LGTInference, tmp_path: Path) -> None:
    """Pictures of a model trained at twice the size give windows of half their sides."""
    (tmp_path / "works").mkdir()
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:32] = 255  # The middle half has an edge in its middle, too.
    Image.fromarray(pixels).save(tmp_path / "works" / "a.png")
    files, codec = picture_files(tmp_path / "works", "FOLDER"), lgt.load_codec()
    whole = encode_views(files, codec, 32, scale=1.0).latents
    near = encode_views(files, codec, 32, scale=2.0).latents
    assert near.shape == whole.shape and torch.allclose(near, whole, atol=0.05)
    corner = encode_views(files, codec, 32, crops=3, scale=2.0).latents[1]
    assert float((corner - corner.mean((1, 2), keepdim=True)).abs().max()) < 0.05
