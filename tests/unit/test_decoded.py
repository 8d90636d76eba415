"""Features of decoded latents: what they are, squares of them, and runs that use them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from toys import Recorder, config, dataset, fields, trainer

from lgt.build import build_bank, build_energy, build_perceptual_network
from lgt.codec import CodecSpec, load_codec
from lgt.data import source_pictures
from lgt.data.dataset import random_windows
from lgt.data.source_pictures import SourcePictures, Squares
from lgt.energy.detail import DetailedFeatures, Place
from lgt.energy.features import clutter, cropped, draw_window
from lgt.energy.free_energy import Look
from lgt.errors import InputError
from lgt.image import open_image
from lgt.image.edges import edge_map, gradient_magnitude
from lgt.image.grey import luminance, matched_luminance
from lgt.nn import LatentPerceptualNetwork, backbone
from lgt.nn.backbone import EfficientNetLite
from lgt.nn.decoded import DecodedFeatures
from lgt.train import Checkpoint

SD = CodecSpec(name="taesd", source="taesd", latent_channels=4)


@pytest.fixture(scope="module")
def decoded() -> DecodedFeatures:
    features = build_perceptual_network(
        config(loss__perceptual_network="decoded", training__mixed_precision="no"), SD
    )
    assert isinstance(features, DecodedFeatures)
    return features


def test_features_are_those_of_the_decoded_picture(decoded: DecodedFeatures) -> None:
    """The same layers as the backbone gives for the codec's picture and for its grey version."""
    x = 0.2 * fields(2, 4, 8, 0)  # not so strong that the codec clips
    picture = load_codec("embedded").decode(x)
    grey = matched_luminance(picture).expand(-1, 3, -1, -1)
    backbone = EfficientNetLite()
    maps = decoded.features(x)
    expected = [*backbone(picture), *backbone(grey)]
    for i in (1, 2):
        torch.testing.assert_close(maps.style[i], expected[i], atol=0.05, rtol=0.05)
        torch.testing.assert_close(maps.content[i - 1], expected[3 + i], atol=0.05, rtol=0.05)
    assert maps.edges is not None
    torch.testing.assert_close(maps.edges, edge_map(picture), atol=0.02, rtol=0.02)
    assert maps.outlines is not None
    small = edge_map(F.avg_pool2d(picture, 4))
    torch.testing.assert_close(maps.outlines, small, atol=0.05, rtol=0.05)


def test_layers_have_the_shape_of_the_network_that_predicts_them(decoded: DecodedFeatures) -> None:
    """Both kinds of features serve the same energies."""
    x = fields(1, 4, 16, 0)
    predicted = LatentPerceptualNetwork().features(x).style
    assert [m.shape for m in decoded.features(x).style] == [m.shape for m in predicted]


def test_several_networks_look_at_one_picture() -> None:
    """Each adds its own views of the same decoded picture, after those of the first."""
    names = ["efficientnet-lite0", "efficientnet-lite1"]
    settings = config(
        loss__perceptual_network="decoded",
        loss__backbones=names,
        training__mixed_precision="no",
    )
    both = build_perceptual_network(settings, SD)
    assert isinstance(both, DecodedFeatures) and both.num_branches == 4
    x = fields(1, 4, 8, 0)
    together = both.features(x)
    for place, name in enumerate(names):
        alone = build_perceptual_network(
            settings.model_copy(
                update={"loss": settings.loss.model_copy(update={"backbones": (name,)})}
            ),
            SD,
        )
        assert alone is not None and alone.num_branches == 2
        maps = alone.features(x)
        for found, expected in zip(together.style[6 * place :], maps.style, strict=False):
            torch.testing.assert_close(found, expected)
        for found, expected in zip(together.content[2 * place :], maps.content, strict=False):
            torch.testing.assert_close(found, expected)


def test_an_unknown_network_is_named() -> None:
    settings = config(loss__perceptual_network="decoded", loss__backbones=["vgg"])
    with pytest.raises(InputError, match="unknown backbone 'vgg'; choose one of: efficientnet"):
        build_perceptual_network(settings, SD)


def test_a_streak_in_a_plain_sky_is_clutter_and_contrast_is_not() -> None:
    """Nothing for a copy, for outlines twice as strong or a pixel off; all for a streak."""
    photo = torch.full((1, 3, 64, 64), 0.5)
    photo[..., 32:, :] = 0.4
    streak = photo.clone()
    streak[..., :24, 40:42] = 0.1
    faint = photo.clone()
    faint[..., :24, 40:42] = 0.45
    bold = 0.5 + 1.9 * (photo - 0.5)
    moved = photo.roll(1, dims=2)
    slopes = gradient_magnitude(photo, 1)
    values = [
        float(clutter(gradient_magnitude(x, 1), slopes)) for x in (photo, bold, faint, streak)
    ]
    assert values[0] == values[1] == 0
    assert 0 < 20 * values[2] < values[3]
    inside = (..., slice(4, -4), slice(None))  # `roll` brings the ground to the top
    assert float(clutter(gradient_magnitude(moved, 1)[inside], slopes[inside])) == 0


def test_gradients_reach_the_latent_and_no_weight(decoded: DecodedFeatures) -> None:
    x = fields(1, 4, 8, 0).requires_grad_()
    sum(m.square().mean() for m in decoded.features(x).style).backward()  # type: ignore[union-attr]
    assert x.grad is not None and bool((x.grad != 0).any())
    assert not any(p.requires_grad for p in decoded.parameters())


def test_crops_are_squares_of_the_same_place() -> None:
    """All latents are cut at one place, drawn from the generator; 0 and large sides keep all."""
    x = torch.arange(2 * 6 * 9.0).reshape(2, 1, 6, 9)
    places = set()
    for seed in range(20):
        a, b = cropped(4, torch.Generator().manual_seed(seed), x, x + 1000)
        assert a.shape == (2, 1, 4, 4)
        torch.testing.assert_close(b, a + 1000)
        places.add(float(a[0, 0, 0, 0]))
    assert len(places) > 5
    for side in (0, 6, 7):
        assert torch.equal(cropped(side, None, x)[0], x)


@pytest.mark.parametrize(
    "codec",
    [None, CodecSpec(name="dct:4", source="dct:4", latent_channels=4, scaling_factor=1.0)],
)
def test_other_latents_are_refused(codec: CodecSpec | None) -> None:
    with pytest.raises(InputError, match=r"loss\.perceptual_network: decoded needs latents"):
        build_perceptual_network(config(loss__perceptual_network="decoded"), codec)


def test_pictures_that_leave_nothing_to_a_layer_are_refused(decoded: DecodedFeatures) -> None:
    smallest = decoded.features_of_pictures(torch.rand(1, 3, 16, 24))
    assert all(min(m.shape[-2:]) >= 1 for m in smallest.style)
    with pytest.raises(InputError, match="8 x 24 pixels are too small"):
        decoded.features_of_pictures(torch.rand(1, 3, 24, 8))


def test_a_run_uses_them(tmp_path: Path) -> None:
    """Two steps with `decoded` and a crop: both feature terms are finite and above 0."""
    latents = dataset()
    latents.codec = SD
    settings = config(
        loss__perceptual_network="decoded",
        loss__feature_crop=4,
        checkpoint__save_dir=str(tmp_path),
    )
    recorder = Recorder.new()
    trainer(settings, latents, reporter=recorder).run()
    for name in ("feature", "perceptual"):
        assert all(0 < row[name] < 1e3 for row in recorder.rows)


def test_a_run_goes_on_with_the_same_looks_alone(tmp_path: Path) -> None:
    """What is remembered of outputs has the shape of what looks at them."""
    latents = dataset()
    latents.codec = SD
    keys: dict[str, object] = {
        "loss__perceptual_network": "decoded",
        "loss__collection_gain": 1.0,
        "checkpoint__save_dir": str(tmp_path),
    }
    trainer(config(**keys), latents).run()
    saved = Checkpoint.load(tmp_path / "latest.pt")
    both = config(**keys, loss__backbones=["efficientnet-lite0", "efficientnet-lite1"])
    with pytest.raises(InputError, match="and backbones as they were"):
        trainer(both, latents, checkpoint=saved)


def test_all_detail_given_back_is_the_brightness_of_the_photo(decoded: DecodedFeatures) -> None:
    """With share 1 a source that did not move has its photo's luma; with 0 it is its decoding."""
    x = 0.2 * fields(2, 4, 16, 0)[:2]
    photos = torch.rand(3, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    window = draw_window(8, torch.Generator().manual_seed(0), 16, 16)
    part, index = window.of(x), torch.tensor([2, 0])
    place = Place(index, torch.zeros(2, 2, dtype=torch.int64)).within(window)
    shown, plain = photos[index][(..., *window.slices(8))], decoded.pictures(window.of(x))

    def photo_parts(rows: Tensor, corner: Tensor, size: tuple[int, int]) -> Tensor:
        assert size == (8, 8)
        return torch.stack(
            [
                photos[row, :, 8 * y : 8 * (y + 8), 8 * x : 8 * (x + 8)]
                for row, (y, x) in zip(rows.tolist(), corner.tolist(), strict=True)
            ]
        )

    for share in (0.0, 1.0):
        look = DetailedFeatures(decoded, photo_parts, luminance, share)
        maps, source_maps = look(part, part, place)
        expected = plain + share * luminance(shown - plain)
        wanted = decoded.features_of_pictures(expected)
        for found, map_ in zip(maps.style, wanted.style, strict=True):
            torch.testing.assert_close(found, map_, atol=1e-3, rtol=1e-3)
        seen = decoded.features_of_pictures(shown)
        torch.testing.assert_close(source_maps.content[0], seen.content[0])
    torch.testing.assert_close(luminance(expected), luminance(shown), atol=1e-5, rtol=1e-5)


def test_photos_are_found_by_the_names_of_their_latents(tmp_path: Path) -> None:
    """Any image suffix; cut to squares; a missing one is named."""
    folder = tmp_path / "photo"
    folder.mkdir()
    Image.new("RGB", (60, 40), (255, 0, 0)).save(folder / "a.png")
    Image.new("RGB", (40, 70), (0, 255, 0)).save(folder / "b.JPG", quality=95)
    latents = [Path("latents/photo/a.pt"), Path("latents/photo/b.pt"), Path("latents/photo/c.pt")]
    photos = SourcePictures(tmp_path, latents, 32, 8)
    whole = torch.zeros(3, 2, dtype=torch.int64)
    found = photos(torch.tensor([1, 0, 1]), whole, (4, 4))
    assert found.shape == (3, 3, 32, 32)
    torch.testing.assert_close(found[1].mean((1, 2)), torch.tensor([1.0, 0.0, 0.0]))
    assert found[0, 1].min() > 0.9
    with pytest.raises(InputError, match="no picture of the latent"):
        photos(torch.tensor([2]), whole[:1], (4, 4))


def test_parts_of_photos_lie_where_their_latents_do(tmp_path: Path) -> None:
    """A window of latents at (row, column) shows the pixels from (8 row, 8 column) on."""
    (tmp_path / "photo").mkdir()
    pixels = torch.randint(256, (48, 48, 3), generator=torch.Generator().manual_seed(0))
    Image.fromarray(pixels.byte().numpy()).save(tmp_path / "photo" / "a.png")
    photos = SourcePictures(tmp_path, [Path("latents/photo/a.pt")], 48, 8)
    parts = photos(torch.tensor([0, 0]), torch.tensor([[1, 3], [2, 0]]), (3, 2))
    shown = (255 * parts).round().long().permute(0, 2, 3, 1)
    assert torch.equal(shown[0], pixels[8:32, 24:40])
    assert torch.equal(shown[1], pixels[16:40, 0:16])


def test_windows_are_given_the_detail_of_their_photos(
    decoded: DecodedFeatures, tmp_path: Path
) -> None:
    """A source left as it is shows the brightness of its own window when all detail is back."""
    (tmp_path / "photo").mkdir()
    pixels = torch.randint(256, (128, 128, 3), generator=torch.Generator().manual_seed(0))
    Image.fromarray(pixels.byte().numpy()).save(tmp_path / "photo" / "a.png")
    photos = SourcePictures(tmp_path, [Path("latents/photo/a.pt")], 128, 8)
    x = 0.2 * fields(2, 4, 16, 0)[:1]
    windows, corner = random_windows(x, 8, torch.Generator().manual_seed(1))
    look = Look(decoded.features, detail=DetailedFeatures(decoded, photos, luminance, 1.0))
    seen = look(windows, windows, Place(torch.tensor([0]), corner), None)
    shown = photos(torch.tensor([0]), corner, (8, 8))
    plain = decoded.pictures(windows)
    wanted = decoded.features_of_pictures(plain + luminance(shown - plain))
    assert corner.any() and seen.maps is not None and seen.maps.style is not None
    for found, map_ in zip(seen.maps.style, wanted.style or (), strict=True):
        torch.testing.assert_close(found, map_, atol=1e-3, rtol=1e-3)


def test_detail_without_photos_is_refused(decoded: DecodedFeatures) -> None:
    """A share that nothing could be done with is an error, not ignored."""
    settings = config(loss__detail=0.5, loss__perceptual_network="decoded")
    latents = dataset(size=12)
    bank = build_bank(settings, latents.latents, latents.style_ids)
    with pytest.raises(InputError, match="the photos in loss"):
        build_energy(settings, bank, decoded)


def test_folding_norms_and_borders_into_convolutions_changes_nothing() -> None:
    """The same layers, block by block, as the packages' own network gives."""
    own = backbone._efficientnet("efficientnet-lite0").eval()
    images = torch.rand(2, 3, 61, 80, generator=torch.Generator().manual_seed(0))
    x = own._swish(own._bn0(own._conv_stem((images * 255 - 127) / 128)))
    expected = []
    with torch.no_grad():
        for index, block in enumerate(own._blocks[: backbone.TAPS["efficientnet-lite0"][-1] + 1]):
            x = block(x)
            if index in backbone.TAPS["efficientnet-lite0"]:
                expected.append(x)
        folded = backbone.load_backbone("efficientnet-lite0").layers(images)
    assert len(folded) == 3
    for layer, before in zip(folded, expected, strict=True):
        torch.testing.assert_close(layer, before, rtol=1e-4, atol=1e-4 * float(before.abs().max()))


def test_squares_are_read_once_while_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room for two of three: the one that was not asked for longest is read again."""
    seen: list[str] = []

    def read(path: Path) -> Image.Image:
        seen.append(path.name)
        return open_image(path)

    monkeypatch.setattr(source_pictures, "open_image", read)
    monkeypatch.setattr(source_pictures, "KEPT_BYTES", 2 * 3 * 16**2)
    squares, paths = Squares(16), [tmp_path / f"{name}.png" for name in "abc"]
    for value, path in enumerate(paths):
        Image.new("RGB", (20, 16), (value, value, value)).save(path)
    for name in "abab":
        square = squares(tmp_path / f"{name}.png")
        assert square.dtype == torch.uint8 and int(square.max()) == "abc".index(name)
    assert seen == ["a.png", "b.png"]
    squares(paths[2])
    squares(paths[1])
    squares(paths[0])
    assert seen[2:] == ["c.png", "a.png"]
