"""`LGTPipeline`: inputs, outputs, saving, loading, uploading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toys
from PIL import Image

from lgt import LGTPipeline
from lgt.errors import CheckpointError, InputError


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toys.write_model(tmp_path_factory.mktemp("model") / "model.pt")


@pytest.fixture
def pipe(model: Path) -> LGTPipeline:
    pipe = LGTPipeline.from_pretrained(model)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def picture(seed: int = 0, size: tuple[int, int] = (24, 16)) -> Image.Image:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(60, 200, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_one_picture(pipe: LGTPipeline) -> None:
    result = pipe(image=picture(), style="paint", generator=seeded()).images
    assert isinstance(result, list) and [p.size for p in result] == [(24, 16)]
    again = pipe(picture(), "paint", generator=seeded()).images
    assert np.array_equal(np.asarray(result[0]), np.asarray(again[0]))


def test_strength_steps_and_controls_are_passed_on(pipe: LGTPipeline) -> None:
    photo = picture()

    def painted(**keys: Any) -> np.ndarray[Any, Any]:
        return np.asarray(pipe(photo, "paint", generator=seeded(), **keys).images[0])

    assert np.array_equal(painted(strength=0.0), np.asarray(photo))
    assert not np.array_equal(painted(), np.asarray(photo))
    assert not np.array_equal(painted(), painted(num_inference_steps=1))
    assert not np.array_equal(painted(), painted(preserve_color=True))
    with pytest.raises(InputError, match="strength"):
        painted(strength=2.0)


def test_generators_move_on_and_may_be_one_for_each(pipe: LGTPipeline) -> None:
    generator = seeded()
    pipe(picture(), "paint", generator=generator)
    moved = torch.randint(2**31, (1,), generator=generator)
    assert not torch.equal(moved, torch.randint(2**31, (1,), generator=seeded()))
    photos = [picture(0), picture(1)]
    both = pipe(photos, ["paint", "photo"], generator=[seeded(1), seeded(2)]).images
    alone = pipe(photos[1], "photo", generator=seeded(2)).images
    assert np.array_equal(np.asarray(both[1]), np.asarray(alone[0]))
    with pytest.raises(InputError, match="3 styles for 2 pictures"):
        pipe(photos, ["paint"] * 3)


def test_tensors_and_arrays(pipe: LGTPipeline) -> None:
    batch = torch.rand(2, 3, 16, 24, generator=seeded())
    out = pipe(batch, "paint", output_type="pt", generator=seeded()).images
    assert isinstance(out, torch.Tensor) and out.shape == batch.shape
    assert float(out.min()) >= 0 and float(out.max()) <= 1
    array = batch.permute(0, 2, 3, 1).numpy()
    same = pipe(array, "paint", output_type="np", generator=seeded()).images
    assert isinstance(same, np.ndarray)
    np.testing.assert_array_equal(same, out.permute(0, 2, 3, 1).numpy())
    assert len(pipe(batch[0], "paint").images) == 1


@pytest.mark.parametrize(
    ("image", "text"),
    [
        (torch.zeros(2, 4, 8, 8), "tensor must be"),
        (torch.zeros(3, 8, 8, dtype=torch.uint8), "floats in"),
        (torch.full((3, 8, 8), 9.0), "values must lie in"),
        (torch.full((3, 8, 8), torch.nan), "values must lie in"),
        (np.zeros((8, 8)), "array must be"),
        ([], "no picture"),
        ("photo.jpg", "must be a PIL picture"),
    ],
)
def test_wrong_images_are_refused(pipe: LGTPipeline, image: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        pipe(image, "paint")


def test_wrong_output_types_are_refused(pipe: LGTPipeline) -> None:
    with pytest.raises(InputError, match="output_type must be one of"):
        pipe(picture(), "paint", output_type="latent")
    with pytest.raises(InputError, match="pictures of one size"):
        pipe([picture(), picture(size=(16, 16))], "paint", output_type="pt")


def test_progress(pipe: LGTPipeline, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[float] = []
    pipe([picture(), picture()], "paint", callback=seen.append)
    assert seen == sorted(seen) and seen[-1] == 1.0 and 0.5 in seen
    assert capsys.readouterr().err == ""

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipe(picture(), "paint", callback=stop)
    pipe.set_progress_bar_config(disable=False)
    pipe(picture(), "paint")


def test_saved_folders_come_back(pipe: LGTPipeline, tmp_path: Path) -> None:
    folder = pipe.save_pretrained(tmp_path / "saved")
    assert sorted(p.name for p in folder.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    content = json.loads((folder / "config.json").read_text())
    assert content["_class_name"] == "LGTPipeline" and content["styles"] == list(toys.STYLES)
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: lgt\n") and "- paint" in card
    assert str(tmp_path) not in card + (folder / "config.json").read_text()
    back = LGTPipeline.from_pretrained(folder)
    back.set_progress_bar_config(disable=True)
    assert back.lgt.model_hash == pipe.lgt.model_hash
    a, b = (
        np.asarray(p(picture(), "paint", generator=seeded()).images[0], dtype=int)
        for p in (pipe, back)
    )
    assert abs(a - b).max() <= 2  # weights in half precision
    with pytest.raises(InputError, match="no weights to write"):
        pipe.save_pretrained(tmp_path / "other", include_codec=True)
    with pytest.raises(InputError, match="is a file"):
        pipe.save_pretrained(folder / "README.md")


def test_the_codec_goes_along(tmp_path: Path) -> None:
    whole = LGTPipeline.from_pretrained()
    whole.set_progress_bar_config(disable=True)
    assert "vangogh" in whole.styles
    back = LGTPipeline.from_pretrained(whole.save_pretrained(tmp_path / "w", include_codec=True))
    back.set_progress_bar_config(disable=True)
    card = (tmp_path / "w" / "README.md").read_text()
    assert "\nlicense: mit\n" in card.split("---")[1]
    assert "Say here" not in card
    assert str(tmp_path) in back.codec.spec.source
    a, b = (
        np.asarray(p(picture(size=(64, 64)), "monet").images[0], dtype=int) for p in (whole, back)
    )
    assert abs(a - b).max() <= 2


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not a hub id owner/name"):
        LGTPipeline.from_pretrained(tmp_path / "none")
    with pytest.raises(CheckpointError, match="the hub did not give it"):
        LGTPipeline.from_pretrained("owner/none", local_files_only=True)
    with pytest.raises(CheckpointError, match=r"holds no model\.safetensors"):
        LGTPipeline.from_pretrained(tmp_path)


def test_to_returns_itself(pipe: LGTPipeline) -> None:
    assert pipe.to("cpu") is pipe
    assert pipe.device == torch.device("cpu")


class FakeApi:
    """Keeps what it is asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.files: list[str] = []

    def create_repo(self, repo_id: str, **keys: Any) -> None:
        self.calls.append((repo_id, keys))

    def upload_folder(self, **keys: Any) -> str:
        self.calls.append(("upload", keys))
        self.files = sorted(p.name for p in Path(keys["folder_path"]).iterdir())
        return f"https://hub/{keys['repo_id']}"


def test_a_tuple_as_diffusers_give_it(pipe: LGTPipeline) -> None:
    (images,) = pipe(picture(), "paint", generator=seeded(), return_dict=False)
    (expected,) = pipe(picture(), "paint", generator=seeded()).images
    assert images[0].tobytes() == expected.tobytes()


def test_a_hub_that_does_not_answer_is_said(pipe: LGTPipeline) -> None:
    class Lost(FakeApi):
        def create_repo(self, repo_id: str, **keys: Any) -> None:
            raise ConnectionError("no route to host")

    with pytest.raises(
        InputError, match=r"me/mine: could not be uploaded \(ConnectionError: no route to host\)"
    ):
        pipe.push_to_hub("me/mine", api=Lost())


def test_push_to_hub(pipe: LGTPipeline) -> None:
    api = FakeApi()
    address = pipe.push_to_hub("me/mine", private=True, commit_message="first", api=api)
    assert address == "https://hub/me/mine"
    assert api.calls[0] == ("me/mine", {"private": True, "exist_ok": True})
    assert api.calls[1][1]["commit_message"] == "first"
    assert api.files == ["README.md", "config.json", "model.safetensors"]
    assert not Path(api.calls[1][1]["folder_path"]).exists()
    with pytest.raises(InputError, match="owner/name"):
        pipe.push_to_hub("mine", api=api)
