"""Commands on engines without torch."""

import json
import subprocess
import sys

import pytest
from PIL import Image
from scenes import difference, picture

pytest.importorskip("onnx")
pytest.importorskip("openvino")

from lgt.errors import InputError
from lgt.runtime import Runtime, engines


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LGT_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def torch_model():
    from lgt.inference import LGTInference

    lgt = LGTInference(device="cpu")
    return lgt, lgt.load_codec()


def run(code, *arguments):
    """Run Python where torch can not be imported."""
    block = "import sys; sys.modules['torch'] = None; " + code
    return subprocess.run(
        [sys.executable, "-c", block, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
    )


PROGRAM = (
    "import importlib.util as u; find = u.find_spec;"
    "u.find_spec = lambda name, *a: None if name == 'torch' else find(name, *a);"
    "from lgt.cli import main; main()"
)


def test_command_without_torch(tmp_path):
    picture().save(tmp_path / "a.png")
    options = ("--style", "monet", "--model", "embedded")
    done = run(PROGRAM, "transfer", tmp_path / "a.png", tmp_path / "b.png", *options)
    assert done.returncode == 0, done.stderr
    assert "openvino" in done.stdout
    assert Image.open(tmp_path / "b.png").size == picture().size
    again = run(PROGRAM, "inspect", tmp_path / "b.png", "--replay", tmp_path / "again.png")
    assert again.returncode == 0, again.stderr
    assert difference(*(Image.open(tmp_path / name) for name in ("b.png", "again.png"))).max() == 0
    picture().save(tmp_path / "c.gif", save_all=True, append_images=[picture(72, 44).rotate(9)])
    masked = ("--mask", tmp_path / "a.png", "--region", f"{tmp_path / 'a.png'}:durer")
    many = (tmp_path / "a.png", tmp_path / "c.gif", f"{tmp_path / 'out'}/")
    done = run(PROGRAM, "transfer", *many, *options, *masked, "--json")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["backend"] for row in rows] == ["openvino"] * 2 and rows[1]["frames"] == 2
    sampler = ("--num_steps", 4, "--cfg_scale", 2, "--temperature_lambda", 0.3, "--seed", 1)
    warm = run(PROGRAM, "transfer", tmp_path / "a.png", tmp_path / "warm.png", *options, *sampler)
    assert warm.returncode == 0, warm.stderr
    assert difference(*(Image.open(tmp_path / name) for name in ("b.png", "warm.png"))).max() > 3
    codec = run(PROGRAM, "transfer", *many, *options, "--codec", "dct")
    assert (codec.returncode, "does not take --codec" in codec.stderr) == (2, True)
    assert "pip install 'lgt[torch]'" in codec.stderr
    listed = run(PROGRAM, "styles", "--model", "embedded")
    assert (listed.returncode, "monet" in listed.stdout) == (0, True)
    other = run(PROGRAM, "pack", "a.pt", tmp_path / "b.safetensors")
    assert (other.returncode, "pip install 'lgt[torch]'" in other.stderr) == (1, True)
    other = run(PROGRAM, "train")
    assert (other.returncode, "pip install 'lgt[train]'" in other.stderr) == (1, True)
    for code, name in (
        ("from lgt import LGTInference", "lgt.LGTInference"),
        ("from lgt.inference import preprocess", "lgt.inference"),
    ):
        said = run(code).stderr.splitlines()[-1]
        assert said == (
            f"lgt.extras.MissingExtraError: {name}: torch is not installed: "
            "pip install 'lgt[torch]'"
        )


def test_auto_leaves_to_torch_what_needs_it(tmp_path):
    import toys
    from typer.testing import CliRunner

    from lgt.cli.app import _build

    picture().save(tmp_path / "a.png")
    command = ["transfer", str(tmp_path / "a.png"), str(tmp_path / "b.png"), "--style", "monet"]
    command += ["--model", "embedded", "--backend", "auto"]
    assert "openvino" in CliRunner().invoke(_build(), command).output
    checkpoint = toys.write_model(tmp_path / "toy.pt")
    other = [*command, "--model", str(checkpoint), "--style", "1"]
    out = CliRunner().invoke(_build(), other).output
    assert "backend: torch" in out
    assert "openvino" not in out.splitlines()[-1]
    assert "must be one of" in CliRunner().invoke(_build(), [*command[:-1], "tpu"]).output
    for backend in ("torch", "onnx"):
        wrong = CliRunner().invoke(_build(), [*command[:-1], backend, "--precision", "int8"])
        assert wrong.exit_code and "int8 needs --backend openvino" in wrong.output


def test_the_default_is_the_fastest_that_can_do_it(tmp_path, monkeypatch):
    import toys

    picture(16, 8).save(tmp_path / "a.png")
    command = ("transfer", tmp_path / "a.png", tmp_path / "b.png", "--style", "monet")
    command += ("--model", "embedded")
    monkeypatch.setattr(engines, "GPU_SIGNS", ())
    monkeypatch.setattr("sys.platform", "linux")
    assert "openvino" in toys.run_lgt(*command).output
    assert "openvino" in toys.run_lgt(*command, "--num_steps", 2).output
    checkpoint = toys.write_model(tmp_path / "toy.pt")
    for option in (("--model", checkpoint, "--style", "1"), ("--backend", "torch")):
        done = toys.run_lgt(*command, *option)
        assert done.exit_code == 0 and "openvino" not in done.output + done.stderr
    monkeypatch.setattr(engines, "GPU_SIGNS", (str(tmp_path),))
    assert engines.default_backend() == "torch"
    assert engines.default_backend("cpu") == "auto"
    asked = toys.run_lgt(*command, "--backend", "auto")
    assert "backend: torch (there is a GPU" in asked.stderr and asked.exit_code == 0


def test_export_agrees_with_torch_at_any_size(tmp_path):
    pytest.importorskip("onnxruntime")
    from typer.testing import CliRunner

    from lgt.cli.app import _build

    path = tmp_path / "monet.onnx"
    command = ["export", str(path), "--style", "monet", "--model", "embedded"]
    done = CliRunner().invoke(_build(), command)
    assert done.exit_code == 0, done.output
    assert done.output.count("from torch") == 3
    assert path.stat().st_size > 1e6


def test_a_graph_that_differs_is_not_exported():
    pytest.importorskip("onnxruntime")
    from lgt.runtime.agreement import agreement

    lgt = Runtime(threads=1)
    with pytest.raises(InputError, match="differs from torch"):
        agreement(lgt.graph("durer"), str(lgt.path), "monet")


def test_all_styles_as_json_and_exif(tmp_path):
    from typer.testing import CliRunner

    from lgt.cli.app import _build

    exif = Image.Exif()
    exif[0x010F] = "Camera"
    picture(16, 8).save(tmp_path / "a.jpg", exif=exif)
    command = ["transfer", str(tmp_path / "a.jpg"), str(tmp_path / "out"), "--style", "monet,durer"]
    command += ["--model", "embedded", "--backend", "openvino", "--json"]
    done = CliRunner().invoke(_build(), command)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [row.get("style") for row in rows] == ["monet", "durer", None]
    assert Image.open(tmp_path / "out" / "a_monet.png").getexif()[0x010F] == "Camera"
    assert CliRunner().invoke(_build(), [*command, "--no_metadata"]).exit_code == 0
    assert not Image.open(tmp_path / "out" / "a_monet.png").getexif()


def test_pictures_say_how_they_were_made_and_are_made_again(tmp_path, torch_model):
    import toys

    from lgt.paint.provenance import read_provenance

    torch_, codec = torch_model
    picture(32, 24).save(tmp_path / "a.png")
    model = ("--model", "embedded")
    plain = ("transfer", tmp_path / "a.png", tmp_path / "b.png", "--style", "monet", *model)
    options = ("--strength", 0.6, "--seed", 3, "--backend", "openvino", "--precision", "fp32")
    assert toys.run_lgt(*plain, *options).exit_code == 0
    made = read_provenance(tmp_path / "b.png")
    assert (made.device, made.seed, made.style) == ("openvino", 3, {"monet": 1.0})
    detail, color = torch_.config.inference.detail, torch_.config.inference.color
    expected = {"detail": detail, "color": color, "canvas": 640, "strength": 0.6}
    assert made.settings == expected
    assert made.model.sha256 == torch_.fingerprint
    assert made.codec.fingerprint == codec.spec.fingerprint
    exact = (*options[:4], "--backend", "torch", "--precision", "fp32")
    assert toys.run_lgt(*plain, *exact).exit_code == 0
    assert read_provenance(tmp_path / "b.png").is_same_work(made)

    bf16 = (*plain, "--backend", "openvino", "--precision", "bf16")
    assert toys.run_lgt(*bf16).exit_code == 0
    replay = ("inspect", tmp_path / "b.png", "--replay", tmp_path / "c.png")
    done = toys.run_lgt(*replay)
    assert done.exit_code == 0 and "may differ" not in done.output, done.output
    first, again = (Image.open(tmp_path / name) for name in ("b.png", "c.png"))
    assert first.tobytes() == again.tobytes()
    assert read_provenance(tmp_path / "c.png") == read_provenance(tmp_path / "b.png")
    other = toys.run_lgt(*replay, "--device", "cpu")
    assert other.exit_code == 0 and "painted on openvino, this is cpu" in other.output
    assert 0 < difference(Image.open(tmp_path / "c.png"), first).mean() < 3
    refused = toys.run_lgt(*replay, "--codec", "dct")
    assert refused.exit_code == 2 and "does not take --codec" in refused.output
