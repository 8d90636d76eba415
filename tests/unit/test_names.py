"""Names that come from files: one function refuses what leads out of a folder, everywhere."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import toys
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save_file

from lgt.data.store import Manifest
from lgt.errors import CheckpointError, InputError
from lgt.image import save_image
from lgt.model.checkpoint import Checkpoint
from lgt.model.shipped import MODEL_FOLDER, MODEL_NAME
from lgt.model.style_file import AddedStyle
from lgt.names import check_file_name, check_style_name, file_part, visible
from lgt.paint.provenance import Provenance
from lgt.runtime.weights import read_model

EVERYWHERE_BAD = (
    "",
    " ",
    ".",
    "..",
    ".. ",
    "../x",
    "x/../../precious",
    "x/..",
    "x//y",
    "/etc/passwd",
    "C:x",
    "c:/x",
    "C:\\x",
    "a\0b",
    "x" * 1025,
)
BAD_STYLES = (
    *EVERYWHERE_BAD,
    "..\\x",
    "x\\y",
    "CON",
    "nul.png",
    "com1",
    "LPT9.txt",
    "x/aux",
    "a\x1b[2Jb",
    "a\nb",
    "a\x9bb",
    "a\u202eb",
    "a\u2028b",
)
GOOD_STYLES = (
    "vangogh",
    "style0",
    "ukiyo-e_2.1",
    "葛飾北斎",
    "van Gogh, Jr.",
    "Müller",
    "europe/monet",
    "console",
    "com",
    "...and more",
    "شکسته\u200cنستعلیق",
    "caf\udce9",
)


@pytest.mark.parametrize("name", [*BAD_STYLES, None, 7, ["x"]])
def test_a_style_name_that_leads_elsewhere_is_refused(name: object) -> None:
    with pytest.raises(InputError, match="name"):
        check_style_name(name)


@pytest.mark.parametrize("name", GOOD_STYLES)
def test_other_style_names_are_taken_as_they_are(name: str) -> None:
    assert check_style_name(name) == name
    assert "/" not in file_part(name) and "\\" not in file_part(name)


@pytest.mark.parametrize("name", EVERYWHERE_BAD)
def test_a_path_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="not taken from a file"):
        check_file_name(name, is_nested=True)


def test_names_of_files_may_hold_what_files_do() -> None:
    for name in (
        "12:30 photo.jpg",
        "été 1.png",
        "a\nb.jpg",
        "caf\udce9.jpg",
        ".hidden",
        "con.jpg",
        " ",
        "a:b",
    ):
        assert check_file_name(name) == name
    assert check_file_name("monet/a b/c.pt", is_nested=True) == "monet/a b/c.pt"
    with pytest.raises(InputError, match="names a folder"):
        check_file_name("a/b.jpg")


def renamed_model(path: Path, names: list[str], *, in_config: bool = False) -> Path:
    """Write the shipped model with other names of styles."""
    with safe_open(MODEL_FOLDER / MODEL_NAME, framework="numpy") as file:
        content = json.loads(file.metadata()["lgt"])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    names = names + content["style_names"][len(names) :]
    if in_config:
        content["config"]["data"]["style_subdirs"] = names
    else:
        content["style_names"] = names
    save_file(weights, path, {"lgt": json.dumps(content)})
    return path


@pytest.mark.parametrize("name", ["x/../../precious", "/tmp/x", "C:x", "nul", "a\x1b[31m"])
def test_models_are_refused_by_every_engine(tmp_path: Path, name: str) -> None:
    path = renamed_model(tmp_path / "a.safetensors", [name])
    for load in (Checkpoint.load, read_model):
        with pytest.raises(CheckpointError, match=r"a\.safetensors: the name .* not taken"):
            load(path)
    path = renamed_model(tmp_path / "b.safetensors", [name], in_config=True)
    with pytest.raises(CheckpointError, match=r"b\.safetensors: the name .* not taken"):
        read_model(path)


def test_a_model_writes_nothing_outside_of_the_folder(tmp_path: Path) -> None:
    photo, precious = tmp_path / "in.png", tmp_path / "precious.png"
    for path in (photo, precious):
        save_image(Image.new("RGB", (16, 16), "teal"), path)
    before = precious.read_bytes()
    model = renamed_model(tmp_path / "m.safetensors", ["photo", "x/../../precious"])
    result = toys.run_lgt(
        "transfer", photo, f"{tmp_path / 'out'}/", "--style", "1", "--model", model
    )
    assert result.exit_code == 2 and "leads out of its folder" in result.output
    assert precious.read_bytes() == before
    model = renamed_model(tmp_path / "n.safetensors", ["photo", "europe/monet"], in_config=True)
    out = tmp_path / "out"
    result = toys.run_lgt("transfer", photo, f"{out}/", "--style", "europe/monet", "--model", model)
    assert result.exit_code == 0, result.output
    assert [path.name for path in out.iterdir()] == ["in_europe_monet.png"]


@pytest.mark.parametrize("name", ["CON", "aux.v2", "../x", "a\x1b"])
def test_style_files_are_refused(tmp_path: Path, name: str) -> None:
    style = AddedStyle("rain", np.zeros(4, np.float32), "0" * 64, 3)
    replace(style, name=name).save(tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"a\.safetensors"):
        AddedStyle.load(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "change",
    [
        {"model": {"name": "../m.pt", "sha256": ""}},
        {"input": {"name": "/etc/passwd", "sha256": ""}},
        {"style": {"/tmp/x.safetensors": 1.0}},
        {"style": {"../x": 1.0}},
        {"added_styles": {"../x": {"name": "x", "sha256": ""}}},
        {"added_styles": {"x": {"name": "../x", "sha256": ""}}},
        {"masks": {"mask": {"name": "..", "sha256": ""}}},
        {"regions": [{"mask": {"name": "m.png", "sha256": ""}, "style": {"/x": 1}}]},
        {"settings": {"source_style": "/tmp/x.safetensors"}},
    ],
)
def test_provenance_is_refused(change: dict[str, object]) -> None:
    plain = {
        "lgt": "1",
        "model": {"name": "embedded", "sha256": ""},
        "codec": {"name": "embedded"},
        "device": "cpu",
        "input": {"name": "photo.jpg", "sha256": ""},
        "style": {"monet": 1.0},
        "seed": 0,
    }
    assert Provenance.from_json(json.dumps(plain)).style == {"monet": 1.0}
    with pytest.raises(InputError, match=r"provenance is damaged .*not taken from a file"):
        Provenance.from_json(json.dumps(plain | change))


@pytest.mark.parametrize("key", ["../../a.pt", "C:a.pt", "/a.pt", "a\0.pt", "x//a.pt"])
def test_manifests_are_refused(tmp_path: Path, key: str) -> None:
    entry = {"source": "monet/a.jpg", "sha256": "0"}
    codec = {"name": "dct:4", "source": "dct:4", "latent_channels": 4}
    plain = {"schema_version": 1, "codec": codec, "target_size": 64, "precision": "float32"}
    plain |= {"num_crops": 1, "hflip": False}
    for files in ({key: entry}, {"monet/a.pt": entry | {"source": key}}):
        (tmp_path / "manifest.json").write_text(json.dumps(plain | {"files": files}))
        with pytest.raises(InputError, match="names a file outside of the folder"):
            Manifest.load(tmp_path)
    (tmp_path / "manifest.json").write_text(json.dumps(plain | {"files": {"monet/a.pt": entry}}))
    assert list(Manifest.load(tmp_path).files) == ["monet/a.pt"]


def test_a_terminal_obeys_nothing_that_stands_in_a_file(tmp_path: Path) -> None:
    assert visible("plain, été, 葛飾\tand\nlines") == "plain, été, 葛飾\tand\nlines"
    assert visible("a\x1b[2J\x07\r\x9b1mb\u202e") == r"a\x1b[2J\x07\r\x9b1mb\u202e"
    photo = tmp_path / "a\x1b[31m\nstyle  monet.png"
    save_image(Image.new("RGB", (16, 16), "teal"), photo)
    out = tmp_path / "o.png"
    made = toys.run_lgt("transfer", photo, out, "--style", "monet", "--model", "embedded")
    assert made.exit_code == 0, made.output
    shown = toys.run_lgt("inspect", out)
    assert "\x1b" not in shown.output and r"a\x1b[31m\nstyle  monet.png" in shown.output
    lost = toys.run_lgt("transfer", tmp_path / "gone\x1bc.png", out, "--style", "monet")
    assert lost.exit_code == 2 and "\x1b" not in lost.output and r"gone\x1b" in lost.output
