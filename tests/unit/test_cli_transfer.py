"""The commands `lgt transfer` and `inference.py`: pictures in, pictures out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from toys import config, run_lgt, write_model
from typer.main import get_command

from lgt.cli.app import _application_of
from lgt.cli.transfer import inference

MODEL = Path("checkpoints/latest.pt")


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enter a folder with a toy model and a picture of 37 x 53 pixels."""
    monkeypatch.chdir(tmp_path)
    write_model(MODEL)
    pixels = np.random.default_rng(0).integers(0, 256, (53, 37, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("input.png")
    return tmp_path


def transfer(*arguments: object) -> Result:
    return run_lgt("transfer", "input.png", *arguments)


def run_inference(*arguments: object) -> Result:
    """Run `python inference.py ARGUMENTS` in this process."""
    command = get_command(_application_of(inference))
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def pixels(name: str) -> np.ndarray:
    return np.asarray(Image.open(name), dtype=int)


def test_a_picture_keeps_its_size() -> None:
    result = transfer("out/new/a.png", "--style", "paint")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("out/new/a.png: 37 x 53, style paint, ")
    assert Image.open("out/new/a.png").size == (37, 53)


@pytest.mark.parametrize("suffix", ["jpg", "webp", "PNG"])
def test_the_suffix_gives_the_format(suffix: str) -> None:
    assert transfer(f"a.{suffix}", "--style", "paint").exit_code == 0
    assert Image.open(f"a.{suffix}").size == (37, 53)


def test_names_ids_and_the_documented_command_agree() -> None:
    exact = ("--precision", "fp32")
    assert transfer("a.png", "--style", "paint", "--source_style", "photo", *exact).exit_code == 0
    assert transfer("b.png", "--style", "1", "--source-style", "0", *exact).exit_code == 0
    documented = (MODEL, "input.png", "c.png", "--target_style_id", "1", "--source_style_id", "0")
    assert run_inference(*documented).exit_code == 0
    assert transfer("d.png", "--style", "photo").exit_code == 0
    assert np.array_equal(pixels("a.png"), pixels("b.png"))
    assert np.array_equal(pixels("a.png"), pixels("c.png"))
    assert not np.array_equal(pixels("a.png"), pixels("d.png"))


def test_an_id_is_an_id_where_names_are_numbers() -> None:
    settings = config(data__style_subdirs=["1", "0"])
    path = write_model(Path("numbers.pt"), settings)
    done = run_inference(path, "input.png", "a.png", "--target_style_id", "1")
    assert "style 0," in done.stdout, "the second style, whose name is 0"
    named = transfer("b.png", "--style", "1", "--model", path)
    assert "style 1," in named.stdout, "the first style, whose name is 1"


def test_seeds() -> None:
    warm = ("--style", "paint", "--temperature_lambda", "0.5")
    for name, seed in (("a", ()), ("b", ("--seed", 0)), ("c", ("--seed", 1))):
        assert transfer(f"{name}.png", *warm, *seed).exit_code == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    assert not np.array_equal(pixels("a.png"), pixels("c.png"))


@pytest.mark.parametrize(
    "option",
    [
        ("--num_steps", 1),
        ("--num-steps", 9),
        ("--no_cfg",),
        ("--cfg_scale", 6),
        ("--temperature-lambda", 0.9),
        ("--set", "inference.num_steps=1"),
        ("--set", "inference.cfg_decay=false"),
        ("--precision", "bf16"),
    ],
    ids=lambda option: " ".join(map(str, option)),
)
def test_options_have_an_effect(option: tuple[object, ...]) -> None:
    exact = ("--precision", "fp32")
    assert transfer("plain.png", "--style", "paint", *exact).exit_code == 0
    result = transfer("a.png", "--style", "paint", *exact, *option)
    assert result.exit_code == 0, result.stderr
    assert not np.array_equal(pixels("a.png"), pixels("plain.png"))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["a.png", "--style", "pant"], "unknown style 'pant'; did you mean 'paint'?"),
        (["a.png", "--style", "2"], "style id 2: must be 0 to 1 (styles: 0 photo, 1 paint)"),
        (["a.png", "--style", "paint", "--source_style", "foto"], "did you mean 'photo'"),
        (["a.xyz", "--style", "paint"], "can not tell the format from the suffix '.xyz'"),
        (["a", "--style", "paint"], "can not tell the format"),
        (["a.png", "--style", "1", "--model", "gone.pt"], "no such checkpoint: gone.pt"),
        (["a.png", "--style", "1", "--model", "input.png"], "can not be read as a checkpoint"),
        (["a.png", "--style", "1", "--codec", "dct:16"], "use --codec dct:4"),
        (["a.png", "--style", "1", "--codec", "nothing"], "codec 'nothing': not a codec"),
        (["a.png", "--style", "1", "--set", "inference.num_step=3"], "did you mean 'num_steps'"),
        (
            ["a.png", "--style", "1", "--set", "model.base_channels=16"],
            "--set model.base_channels: would have no effect, as lgt transfer does not act by it; "
            "of the configuration it reads inference, training.solver, training.start, "
            "data.source_subdirs",
        ),
        (
            ["a.png", "--style", "1", *("--set", "loss.w_style=9"), *("-s", "training.seed=1")],
            "--set loss.w_style, training.seed: would have no effect",
        ),
        (["a.png", "--style", "1", "--seed", str(2**64)], "18446744073709551615"),
        (
            ["o", "--style", "1", "--variants", "2", "--seed", str(2**64 - 1)],
            "seed: must have at most 64 bits (got 18446744073709551616)",
        ),
        (["a.png", "--style", "1", "--precision", "fp8"], "use fp32 or bf16"),
        (["a.png", "--style", "1", "--device", "toaster"], "'toaster' is not a device"),
        (["input.png", "--style", "1"], "input.png: is what is read, and would be lost"),
        (["a.png"], "Missing option '--style'"),
        (["a.png", "--style", "1", "--num_steps", "0"], "'--num_steps'"),
        (["a.png", "--style", "1", "--cfg_scale", "-1"], "'--cfg_scale'"),
        (["input.png/a.png", "--style", "1"], "input.png"),
    ],
)
def test_mistakes_are_one_message_and_write_nothing(arguments: list[str], text: str) -> None:
    result = transfer(*arguments)
    assert result.exit_code == 2
    assert text in result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(path.name for path in Path().iterdir()) == ["checkpoints", "input.png"]


@pytest.mark.parametrize(
    ("name", "text"),
    [("gone.jpg", "gone.jpg: no such file"), ("text.jpg", "not an image"), (".", "is a folder")],
)
def test_an_unusable_input(name: str, text: str) -> None:
    Path("text.jpg").write_text("hello")
    result = run_lgt("transfer", name, "a.png", "--style", "paint")
    assert result.exit_code == 2
    assert text in result.stderr
    assert not Path("a.png").exists()


def test_a_missing_input_is_said_before_an_odd_output() -> None:
    """A folder that is misspelt has an OUT that is no picture."""
    result = run_lgt("transfer", "gone", "painted", "--style", "paint")
    assert result.exit_code == 2
    assert "gone: no such file" in result.stderr


def test_documented_command_refuses_a_wrong_id() -> None:
    result = run_inference(MODEL, "input.png", "a.png", "--target_style_id", "5")
    assert result.exit_code == 2
    assert "style id 5: must be 0 to 1" in result.stderr
    assert run_inference(MODEL, "input.png", "a.png").exit_code == 2


def test_documented_command_refuses_keys_without_effect_and_seeds_without_end() -> None:
    common = (MODEL, "input.png", "a.png", "--target_style_id", "1")
    unread = run_inference(*common, "--set", "loss.w_style=9")
    assert unread.exit_code == 2
    assert "--set loss.w_style: would have no effect, as inference.py does not" in unread.stderr
    assert run_inference(*common, "--seed", 2**64).exit_code == 2
    assert not Path("a.png").exists()
    assert run_inference(*common, "--seed", 2**64 - 1).exit_code == 0
