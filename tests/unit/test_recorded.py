"""What a file names is not followed: no folder is opened, no hub asked, no number unbounded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from toys import config, run_lgt, write_model

import lgt.codec.hub
from lgt.codec.stored import check_stored_source
from lgt.errors import InputError
from lgt.image import read_text, save_image
from lgt.model.checkpoint import Checkpoint
from lgt.paint.provenance import Provenance, read_provenance
from lgt.paint.recorded import check_settings

MODEL = Path("checkpoints/latest.pt")
HUB_ID = "attacker/evilrepo"


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Enter a folder with a toy model and a picture of it; note what the hub is asked for."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LGT_CODEC", raising=False)
    asked: list[str] = []

    def fetch(hub_id: str, *, local_files_only: bool) -> tuple[None, str]:
        asked.append(f"{hub_id} {'cache' if local_files_only else 'network'}")
        return None, "nothing there"

    monkeypatch.setattr(lgt.codec.hub, "_fetch", fetch)
    monkeypatch.setattr(lgt.codec.hub, "_check_reachable", asked.append)
    write_model(MODEL, config(data__style_subdirs=["photo", "paint"]))
    save_image(Image.new("RGB", (24, 16), "teal"), Path("input.jpg"))
    assert run_lgt("transfer", "input.jpg", "a.png", "--style", "paint").exit_code == 0
    return asked


def changed(**changes: Any) -> str:
    """Write the picture with another record; return its name."""
    made = read_provenance(Path("a.png"))
    assert made is not None
    with Image.open("a.png") as image:
        save_image(image, Path("b.png"), text=made.model_copy(update=changes).to_json())
    assert read_text(Path("b.png"))
    return "b.png"


def record() -> Provenance:
    made = read_provenance(Path("a.png"))
    assert made is not None
    return made


@pytest.mark.parametrize(
    "source", ["attacker/evilrepo", "/tmp", "..", "~", "taesd:/tmp", "checkpoints", "dct:²", "\0"]
)
def test_a_replay_loads_no_codec_that_the_picture_names(source: str, workspace: list[str]) -> None:
    name = changed(codec=record().codec.model_copy(update={"source": source}))
    result = run_lgt("inspect", name, "--replay", "c.png")
    assert result.exit_code == 2 and not Path("c.png").exists()
    assert "the picture asks for the codec" in result.output and "--codec" in result.output
    assert not any("network" in words or words == HUB_ID for words in workspace)
    named = run_lgt("inspect", name, "--replay", "c.png", "--codec", "dct:4")
    assert named.exit_code == 0, named.output


def test_what_the_user_fetched_or_named_in_the_environment_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for source in ("embedded", "auto", "dct", "dct:16"):
        assert check_stored_source(source, "it") == source
    monkeypatch.setattr(lgt.codec.hub, "_fetch", lambda *_, **__: (Path(), ""))
    assert check_stored_source(HUB_ID, "it") == HUB_ID
    Path(HUB_ID).mkdir(parents=True)  # The same text is a folder now.
    for source in (HUB_ID, "/tmp", None, 3):
        with pytest.raises(InputError, match="it asks for the codec"):
            check_stored_source(source, "it")
    monkeypatch.setenv("LGT_CODEC", "/tmp")
    assert check_stored_source("/tmp", "it") == "/tmp"


def test_a_models_own_codec_is_loaded_only_if_it_is_built_in(workspace: list[str]) -> None:
    checkpoint = Checkpoint.load(MODEL)
    assert checkpoint.codec is not None
    for source in (HUB_ID, str(Path.cwd())):
        replace(checkpoint, codec=replace(checkpoint.codec, source=source)).save(Path("m.pt"))
        command = ("transfer", "input.jpg", "c.png", "--style", "paint", "--model", "m.pt")
        result = run_lgt(*command)
        assert result.exit_code == 2 and "the model m.pt asks for the codec" in result.output
        assert not any("network" in words for words in workspace)
        assert run_lgt(*command, "--codec", "dct:4").exit_code == 0


def test_a_models_own_number_of_steps_is_bounded() -> None:
    write_model(Path("m.pt"), config(inference__num_steps=1_000_000))
    command = ("transfer", "input.jpg", "c.png", "--style", "0", "--model", "m.pt")
    result = run_lgt(*command)
    assert result.exit_code == 2 and "1000000 solver steps by itself" in result.output
    assert run_lgt(*command, "--num_steps", "1").exit_code == 0


NEVER_NULL = ("strength", "style_scale", "repulsion", "preserve_color", "inference.num_steps")
"""Settings that are numbers or truths wherever they stand."""


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"inference.num_steps": 1_000_000}, "inference.num_steps 1000000"),
        ({"inference.num_steps": True}, "inference.num_steps"),
        ({"inference.cfg_scale": 1e308}, "inference.cfg_scale"),
        ({"data.codec": "/tmp"}, "'data.codec', which no painting writes"),
        ({"loss.works_root": "/tmp"}, "which no painting writes"),
        ({"x.y=1": 1}, "which no painting writes"),
        ({"repulsion": 1e9}, "repulsion"),
        ({"mask_feather": 1e9}, "mask_feather"),
        ({"canvas": 2**40}, "canvas"),
        ({"strength": "1"}, "strength"),
        ({"strength": [1]}, "strength"),
        ({"max_side": -1}, "max_side"),
        *(({name: None}, f"{name} None") for name in NEVER_NULL),
    ],
)
def test_a_replay_follows_bounded_numbers_only(settings: dict[str, Any], words: str) -> None:
    name = changed(settings=record().settings | settings)
    result = run_lgt("inspect", name, "--replay", "c.png")
    assert result.exit_code == 2 and words in result.output and "\n" not in result.output.strip()
    assert run_lgt("inspect", name).exit_code == 0


def test_what_paintings_write_is_followed() -> None:
    check_settings(
        {"strength": 1, "detail": 0.5, "canvas": 0, "invert_mask": True, "source_style": "photo"}
        | {"inference.num_steps": 1000, "training.solver": "heun", "data.source_subdirs": ["photo"]}
        | {"inference.use_cfg": False, "of_another_version": 7}
    )
    check_settings(dict.fromkeys(("detail", "color", "canvas", "max_side", "tile", "source_style")))
