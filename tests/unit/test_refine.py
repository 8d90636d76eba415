"""Refining: what is kept of the works, the descent itself, and who can do it."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from skimage import data
from toys import equal_states, gaussians, picture, run_lgt, write_model

from lgt import LGTInference
from lgt.build.descent import build_picture_energy
from lgt.build.networks import build_perceptual_network
from lgt.codec import load_codec
from lgt.energy.descent import WINDOW, descend, terms_of, windows_of
from lgt.energy.features import structure_difference
from lgt.energy.works import WorksGaussians
from lgt.errors import CheckpointError, InputError
from lgt.image import luma, open_image, save_image, to_pixels
from lgt.image.grey import luminance
from lgt.model.checkpoint import Checkpoint
from lgt.model.release import write_release
from lgt.model.style_file import AddedStyle
from lgt.paint.controls import Controls
from lgt.paint.recipe import Recipe
from lgt.runtime.engine import Runtime
from lgt.runtime.open import Wish, open_engine
from lgt.seeds import seeded
from lgt.train.new_style import StyleCode

SIZE = (96, 72)


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return picture(3, SIZE)


def painted(lgt: LGTInference, photo: Image.Image, style: Any = "vangogh", **options: Any) -> Any:
    codec = load_codec("embedded")
    return np.asarray(lgt.stylize(photo, style, codec=codec, seed=0, **options), np.float32)


# What is kept of the works


def test_they_are_packed_without_loss() -> None:
    kept = gaussians()
    packed = kept.packed()
    found = WorksGaussians.unpacked(packed)
    for a, b in zip(
        (*kept.means, *kept.covariances), (*found.means, *found.covariances), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5)
    assert packed["covariances.1"].shape == (3, 6 * 7 // 2), "a triangle says all"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"means.0": None}, "missing or damaged"),
        ({"means.0": torch.zeros(3)}, "missing or damaged"),
        ({"covariances.1": torch.zeros(3, 5)}, r"covariances \[3, 5\] for means \[3, 6\]"),
        ({"means.1": torch.full((3, 6), float("nan"))}, "not finite"),
        ({"means.1": torch.zeros(2, 6), "covariances.1": torch.zeros(2, 21)}, "different styles"),
        ({"means.0": torch.zeros(3, 10**6).expand(3, 10**6)}, "damaged"),
    ],
)
def test_damaged_ones_are_refused(change: dict[str, Any], complaint: str) -> None:
    packed = {k: v for k, v in (gaussians().packed() | change).items() if v is not None}
    with pytest.raises(InputError, match=complaint):
        WorksGaussians.unpacked(packed)


def test_a_blend_lies_between_its_styles() -> None:
    kept = gaussians()
    blend = kept.blended({0: 0.25, 2: 0.75})
    assert blend.num_styles == 1
    torch.testing.assert_close(blend.means[1][0], 0.25 * kept.means[1][0] + 0.75 * kept.means[1][2])
    expected = 0.25 * kept.covariances[0][0] + 0.75 * kept.covariances[0][2]
    torch.testing.assert_close(blend.covariances[0][0], expected)
    with pytest.raises(InputError, match="other image networks"):
        kept.joined(gaussians(sizes=(4, 5)))


def test_a_model_keeps_them_in_its_files(tmp_path: Path) -> None:
    works = gaussians(num_styles=2)
    loaded = Checkpoint.load(write_model(tmp_path / "a.pt", works=works))
    write_release(loaded, tmp_path / "a.safetensors")
    for checkpoint in (loaded, Checkpoint.load(tmp_path / "a.safetensors")):
        assert checkpoint.works is not None
        for a, b in zip(checkpoint.works.packed().values(), works.packed().values(), strict=True):
            assert torch.equal(a, b), "float16 would make covariances of it that are none"
        assert not [name for name in checkpoint.network if name.startswith("works")]
    assert Checkpoint.load(write_model(tmp_path / "b.pt")).works is None
    content = torch.load(tmp_path / "a.pt", weights_only=True)
    content["style_names"] = ["photo", "paint", "third"]
    torch.save(content, tmp_path / "d.pt")
    with pytest.raises(CheckpointError, match="works: of 2 styles, and the model has 3"):
        Checkpoint.load(tmp_path / "d.pt")
    content["works"]["means.0"] = torch.zeros(1)
    torch.save(content, tmp_path / "c.pt")
    with pytest.raises(CheckpointError, match="works: layer 0 is missing or damaged"):
        Checkpoint.load(tmp_path / "c.pt")


def test_the_shipped_model_has_those_of_all_styles(lgt: LGTInference) -> None:
    assert lgt.works is not None
    assert lgt.works.num_styles == len(lgt.style_names)
    for covariance in lgt.works.covariances:
        values = torch.linalg.eigvalsh(covariance.double())
        assert (values[:, 0] > -1e-5 * values[:, -1]).all()


# The descent


@pytest.mark.parametrize(("height", "width"), [(84, 120), (32, 33), (20, 70), (4, 4)])
def test_windows_cover_a_picture_in_time(height: int, width: int) -> None:
    generator, seen = torch.Generator().manual_seed(0), np.zeros((height, width))
    for _ in range(60):
        for row, column in windows_of(height, width, generator).tolist():
            part = seen[row : row + WINDOW, column : column + WINDOW]
            assert part.shape == (min(height, WINDOW), min(width, WINDOW))
            part += 1
    assert seen.min() > 0
    assert len(windows_of(84, 124, generator)) == 2 * 4


def test_it_goes_down_the_energy_and_leaves_the_model_alone(lgt: LGTInference) -> None:
    """Measured with a fresh energy, which remembers nothing of the way."""
    assert lgt.works is not None
    features = build_perceptual_network(lgt.config, lgt.codec_spec)
    assert features is not None
    pixels = torch.from_numpy(to_pixels(picture(5, (264, 256))))
    x_src = load_codec("embedded").encode(2 * pixels - 1)
    style, origin = lgt.works.rows([lgt.style_id("ukiyoe")]), lgt.works.rows([0])

    def energy() -> Any:
        return build_picture_energy(lgt.config, features, style, origin, pixels, detail=0.35)

    def value(x: torch.Tensor) -> float:
        cut = (..., slice(32), slice(32))
        near, corner = energy().sights[0].energy, torch.zeros(1, 2, dtype=torch.int64)
        with torch.no_grad():
            return float(terms_of(near, x[cut], x_src[cut], corner, seeded(0)).total)

    told: list[float] = []
    end = descend(energy(), x_src, x_src, 12, generator=seeded(0), progress=told.append)
    assert value(end) < 0.68 * value(x_src), "0.74 with the momentum that is usual"
    assert told == sorted(told) and told[-1] == 1
    assert not end.requires_grad
    again = descend(energy(), x_src, x_src, 12, generator=seeded(0))
    assert torch.equal(end, again)


def test_a_picture_is_nobody_elses(lgt: LGTInference, monkeypatch: pytest.MonkeyPatch) -> None:
    """Among processes that train together its moments are its own: no sum is asked for."""
    face = picture(5, (96, 96))
    expected = painted(lgt, face, refine=1)

    def refuse(_: torch.Tensor) -> None:
        raise AssertionError("a descent waits for other processes")

    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", refuse)
    assert np.array_equal(painted(lgt, face, refine=1), expected)


def test_it_changes_the_painting_and_not_what_strength_and_color_say(
    lgt: LGTInference, photo: Image.Image
) -> None:
    plain, refined = painted(lgt, photo), painted(lgt, photo, refine=3)
    assert 1 < np.abs(plain - refined).mean() < 40
    assert np.array_equal(painted(lgt, photo, refine=3), refined), "the seed decides"
    source = np.asarray(photo, np.float32)
    assert np.array_equal(painted(lgt, photo, refine=3, strength=0.0), source)
    half = painted(lgt, photo, refine=3, strength=0.5)
    assert np.abs(half - source).mean() < 0.8 * np.abs(refined - source).mean()
    kept = painted(lgt, photo, refine=3, preserve_color=True)
    lumas = [luma(to_pixels(Image.fromarray(np.uint8(pixels)))) for pixels in (kept, refined)]
    assert np.abs(lumas[0] - lumas[1]).mean() < 0.02


def test_a_face_is_drawn_again(lgt: LGTInference) -> None:
    """Without structure in the content the descent loses more of it than the network has lost."""
    face = Image.fromarray(data.astronaut()).crop((150, 20, 310, 180))

    def lost(options: dict[str, Any]) -> float:
        pictures = torch.from_numpy(painted(lgt, face, "monet", **options)), np.array(face)
        shades = (
            F.avg_pool2d(luminance(torch.as_tensor(x).permute(2, 0, 1)[None] / 255), 2)
            for x in pictures
        )
        return float(structure_difference(*shades))

    assert lost({"refine": 6}) < 0.75 * lost({})


def test_photos_as_photos_stay_as_they_are(lgt: LGTInference, photo: Image.Image) -> None:
    assert np.array_equal(painted(lgt, photo, "photo", refine=2), painted(lgt, photo, "photo"))


def test_a_blend_and_an_added_style_are_refined(lgt: LGTInference, photo: Image.Image) -> None:
    blend = {"vangogh": 0.5, "ukiyoe": 0.5}
    assert not np.array_equal(painted(lgt, photo, blend, refine=1), painted(lgt, photo, blend))
    assert lgt.works is not None
    monet = lgt.works.rows([lgt.style_id("monet")]).packed()
    code = StyleCode(lgt.network, lgt.style_id("vangogh"))().detach().numpy()
    style = AddedStyle("mine", code, lgt.model_hash, 9)
    fresh = LGTInference("embedded", "cpu")
    number = fresh.add_style(replace(style, works={k: v.numpy() for k, v in monet.items()}))
    added = painted(fresh, photo, number, refine=2)
    assert not np.array_equal(added, painted(fresh, photo, "vangogh", refine=2)), "towards monet"
    other = fresh.add_style(replace(style, works={"means.0": np.zeros((1, 4), np.float32)}))
    with pytest.raises(InputError, match=r"style 'mine-2' is damaged \(works: no layers"):
        painted(fresh, photo, other, refine=2)
    fresh.works = gaussians(len(lgt.style_names))
    with pytest.raises(InputError, match=r"other image networks than loss\.backbones"):
        painted(fresh, photo, "monet", refine=2)
    fresh.works = lgt.works
    bare = fresh.add_style(style)
    with pytest.raises(InputError, match=r"style 'mine-3' has not kept .*lgt add-style"):
        painted(fresh, photo, bare, refine=2)


def test_a_style_file_keeps_its_works(tmp_path: Path) -> None:
    works = {k: v.numpy() for k, v in gaussians(1).packed().items()}
    AddedStyle("a", np.zeros(8, np.float32), "0" * 64, 3, works=works).save(
        tmp_path / "a.safetensors"
    )
    found = AddedStyle.load(tmp_path / "a.safetensors").works
    assert found is not None and found.keys() == works.keys()
    assert all(np.array_equal(found[name], works[name]) for name in works)
    AddedStyle("a", np.zeros(8, np.float32), "0" * 64, 3).save(tmp_path / "b.safetensors")
    assert AddedStyle.load(tmp_path / "b.safetensors").works is None


# Who can do it


def test_a_model_without_works_says_so(tmp_path: Path, photo: Image.Image) -> None:
    model = LGTInference(write_model(tmp_path / "a.pt"), "cpu")
    with pytest.raises(InputError, match=r"a\.pt has not kept .* Leave --refine out"):
        model.stylize(photo, 1, codec=model.load_codec(), refine=2)


@pytest.mark.parametrize("value", [-1, 201, 1.5, True, "3"])
def test_odd_numbers_of_steps_are_refused(value: Any) -> None:
    with pytest.raises(InputError, match="refine must be a whole number, 0 to 200"):
        Controls(refine=value)


def test_graphs_refuse_and_torch_steps_in(photo: Image.Image) -> None:
    with pytest.raises(InputError, match="computes no gradients; that needs --backend torch"):
        Runtime("embedded").stylize(photo, "monet", refine=2)
    assert open_engine(Wish(refines=True)).facts.device == "cpu"
    with pytest.raises(InputError, match="int8 has not"):
        open_engine(Wish(refines=True, precision="int8"))


def test_a_video_is_refused(tmp_path: Path) -> None:
    frames = [picture(i, SIZE) for i in range(2)]
    frames[0].save(tmp_path / "in.gif", save_all=True, append_images=frames[1:])
    result = run_lgt(
        "transfer", tmp_path / "in.gif", tmp_path / "out.gif", "--style", "monet", "--refine", 2
    )
    assert result.exit_code == 2
    assert "refine is for pictures" in " ".join(result.stderr.split())


@pytest.mark.parametrize("size", [SIZE, (280, 272)])
def test_the_command_refines_and_its_record_repeats_it(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    """By an optimizer, and of a picture that is large enough by learned steps."""
    save_image(picture(3, size), tmp_path / "in.png")
    done = run_lgt(
        "transfer", tmp_path / "in.png", tmp_path / "out.png", "--style", "monet", "--refine", 2
    )
    assert done.exit_code == 0, done.stderr
    assert ", cpu " in done.stdout, "torch, and not OpenVINO, paints"
    told = run_lgt("inspect", tmp_path / "out.png")
    assert any(line.split() == ["refine", "2"] for line in told.stdout.splitlines())
    again = run_lgt(
        "inspect",
        tmp_path / "out.png",
        "--replay",
        tmp_path / "again.png",
        "--input",
        tmp_path / "in.png",
    )
    assert again.exit_code == 0, again.stderr
    pair = [np.asarray(open_image(tmp_path / name)) for name in ("out.png", "again.png")]
    assert np.array_equal(*pair)


def test_a_recipe_names_it() -> None:
    recipe = Recipe(style={"monet": 1.0}, controls=Controls(refine=7))
    assert recipe.settings["refine"] == 7


def test_a_script_gives_them_to_a_model_without(
    tmp_path: Path, lgt: LGTInference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "scripts"))
    keep_works = importlib.import_module("keep_works")
    for index, name in enumerate(lgt.style_names):
        save_image(picture(index, (520, 512)), tmp_path / "raw" / name / "a.png")
    keep_works.main(["embedded", str(tmp_path / "kept.pt"), "--works_root", str(tmp_path / "raw")])
    kept = Checkpoint.load(tmp_path / "kept.pt")
    assert kept.works is not None and lgt.works is not None
    assert [m.shape for m in kept.works.means] == [m.shape for m in lgt.works.means]
    assert not torch.equal(kept.works.means[0], lgt.works.means[0])
    assert equal_states(kept.network, dict(lgt.network.state_dict())), "weights stay"
