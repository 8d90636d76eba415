"""Transfer without torch gives the pictures of torch."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("onnx")

from lgt.errors import InputError
from lgt.runtime import Runtime


def picture(width=72, height=44):
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 255, (5, 8, 3), np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_same_picture_as_torch_at_a_size_that_needs_padding(backend):
    pytest.importorskip("openvino" if backend == "openvino" else "onnxruntime")
    from lgt.inference import LGTInference

    lgt = LGTInference(device="cpu")
    expected = lgt.stylize(picture(), "vangogh", codec=lgt.load_codec())
    got = Runtime(backend=backend, threads=1).stylize(picture(), "vangogh")
    assert got.size == expected.size
    assert np.abs(np.asarray(got, int) - np.asarray(expected, int)).max() <= 2


def test_strength_and_style_change_the_picture():
    lgt = Runtime(threads=1)
    full = np.asarray(lgt.stylize(picture(), "monet"), int)
    half = np.asarray(lgt.stylize(picture(), "monet", strength=0.5), int)
    other = np.asarray(lgt.stylize(picture(), "durer"), int)
    assert np.abs(full - half).mean() > 1
    assert np.abs(full - other).mean() > 1


def test_wrong_values_are_refused():
    with pytest.raises(InputError, match="backend must be"):
        Runtime(backend="tpu")
    with pytest.raises(InputError, match="unknown style"):
        Runtime().stylize(picture(), "nobody")


def test_no_torch():
    code = (
        "import sys; from PIL import Image; from lgt.runtime import Runtime;"
        "Runtime(threads=1).stylize(Image.new('RGB', (32, 32)), 'monet');"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_command_without_torch(tmp_path):
    picture().save(tmp_path / "a.png")
    code = (
        "import sys; from lgt.cli.app import _build;"
        "_build()(sys.argv[1:], standalone_mode=False); sys.exit('torch' in sys.modules)"
    )
    command = ["transfer", str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    options = ["--style", "monet", "--model", "embedded", "--backend", "openvino"]
    run = [sys.executable, "-c", code, *command, *options]
    assert subprocess.run(run, check=False).returncode == 0
    assert Image.open(tmp_path / "b.png").size == picture().size
    refused = subprocess.run([*run, "--num_steps", "2"], check=False, capture_output=True, text=True)
    assert "does not take --num_steps" in refused.stderr
