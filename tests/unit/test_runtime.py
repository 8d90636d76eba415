"""Transfer without torch gives the pictures of torch."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("onnx")
pytest.importorskip("openvino")

from lgt.codec.tiles import reach
from lgt.errors import InputError
from lgt.runtime import Runtime, engines
from lgt.runtime.run import HALO, MAX_PIXELS


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LGT_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def torch_model():
    from lgt.inference import LGTInference

    lgt = LGTInference(device="cpu")
    return lgt, lgt.load_codec()


def picture(width=72, height=44):
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 255, (5, 8, 3), np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def difference(a, b):
    assert (a.size, a.mode) == (b.size, b.mode)
    return np.abs(np.asarray(a, int) - np.asarray(b, int))


@pytest.mark.parametrize(
    ("backend", "precision", "largest"),
    [("openvino", "fp32", 1), ("onnx", "auto", 1), ("openvino", "bf16", 8)],
)
def test_same_picture_as_torch_at_sizes_that_need_padding(torch_model, backend, precision, largest):
    if backend == "onnx":
        pytest.importorskip("onnxruntime")
    lgt, codec = torch_model
    runtime = Runtime(backend=backend, precision=precision, threads=1)
    for size in ((72, 44), (8, 8), (13, 90)):
        expected = lgt.stylize(picture(*size), "vangogh", codec=codec)
        assert difference(runtime.stylize(picture(*size), "vangogh"), expected).max() <= largest


@pytest.mark.parametrize(
    "options",
    [{"strength": 0.4}, {"detail": 0.0}, {"detail": 1.0, "strength": 0.6}, {"max_side": 40}],
)
def test_controls_do_what_they_do_in_torch(torch_model, options):
    lgt, codec = torch_model
    runtime = Runtime(backend="openvino", precision="fp32", threads=1)
    plain, got = (runtime.stylize(picture(), "monet", **o) for o in ({}, options))
    expected = lgt.stylize(picture(), "monet", codec=codec, **options)
    assert difference(got, expected).max() <= 1
    assert got.size != plain.size or difference(got, plain).max() > 1


def test_alpha_is_kept(torch_model):
    lgt, codec = torch_model
    image = picture().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    got = Runtime(precision="fp32", threads=1).stylize(image, "monet")
    far = difference(got, lgt.stylize(image, "monet", codec=codec))
    opaque = np.asarray(image)[..., 3] > 128
    assert far[opaque].max() <= 3
    assert not far[..., 3].any()
    assert Runtime().stylize(image, "monet", strength=0).tobytes() == image.tobytes()


def test_style_changes_the_picture_and_all_styles_are_there():
    lgt = Runtime(threads=1)
    one, other = (lgt.stylize(picture(), style) for style in ("monet", "durer"))
    assert difference(one, other).mean() > 1
    assert "photo" not in lgt.painted_styles


def test_compiled_graph_is_kept_and_read_again(tmp_path):
    folder = tmp_path / "cache" / "runtime"
    first = Runtime(threads=1).stylize(picture(), "monet")
    (file,) = folder.glob("*.bin")
    assert difference(Runtime(threads=1).stylize(picture(), "monet"), first).max() == 0
    file.write_bytes(b"damaged")
    assert difference(Runtime(threads=1).stylize(picture(), "monet"), first).max() == 0


@pytest.mark.slow
def test_int8_is_near_and_is_kept(tmp_path, monkeypatch):
    pytest.importorskip("nncf")
    from lgt.runtime import int8

    one = next(int8.calibration_pictures())
    monkeypatch.setattr(int8, "calibration_pictures", lambda: [one[..., :64, :64]])
    image = Image.fromarray((one[0, :, 64:192, 64:160].transpose(1, 2, 0) * 255).astype(np.uint8))
    exact = Runtime(precision="fp32", threads=1).stylize(image, "monet")
    got = Runtime(precision="int8", threads=1).stylize(image, "monet")
    assert 0.3 < difference(got, exact).mean() < 12
    monkeypatch.setattr(int8, "quantized", lambda *_: pytest.fail("was kept"))
    assert Runtime(precision="int8", threads=1).stylize(image, "monet").tobytes() == got.tobytes()


def test_int8_that_is_too_far_is_refused(monkeypatch):
    nncf = pytest.importorskip("nncf")
    from lgt.runtime import int8

    one = next(int8.calibration_pictures())
    monkeypatch.setattr(int8, "calibration_pictures", lambda: [one[..., :32, :32]])
    monkeypatch.setattr(nncf, "quantize", lambda model, *_, **__: model)
    monkeypatch.setattr(int8, "MAX_DIFFERENCE", -1)
    with pytest.raises(InputError, match="would differ by 0"):
        Runtime(precision="int8", threads=1).stylize(picture(), "monet")


def test_int8_needs_openvino_and_nncf(monkeypatch):
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(InputError, match="pip install nncf"):
        Runtime(precision="int8").stylize(picture(), "monet")
    with pytest.raises(InputError, match="for int8 use openvino"):
        Runtime(backend="onnx", precision="int8")


def test_calibration_pictures_differ():
    from lgt.runtime.int8 import SIDE, calibration_pictures

    pictures = list(calibration_pictures())
    assert all(p.shape == (1, 3, SIDE, SIDE) and p.dtype == np.float32 for p in pictures)
    assert all(p.min() >= 0 and p.max() <= 1 for p in pictures)
    assert len({p.tobytes() for p in pictures}) == len(pictures) == 8


def test_wrong_values_are_refused(tmp_path):
    for wrong, message in (
        ({"backend": "tpu"}, "backend must be"),
        ({"precision": "fp8"}, "precision must be"),
        ({"model": tmp_path / "none.safetensors"}, "no such file"),
    ):
        with pytest.raises(Exception, match=message):
            Runtime(**wrong)
    with pytest.raises(InputError, match="unknown style"):
        Runtime().stylize(picture(), "nobody")
    with pytest.raises(InputError, match="strength must be 0 to 1"):
        Runtime().stylize(picture(), "monet", strength=2)
    with pytest.raises(InputError, match=f"int8 takes at most {MAX_PIXELS}"):
        Runtime(precision="int8").stylize(Image.new("RGB", (2048, 1025)), "monet")


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
@pytest.mark.parametrize("options", [{}, {"detail": 0.0}, {"strength": 0.5}])
def test_tiles_change_nothing_but_rounding(backend, options, monkeypatch):
    """Many small tiles, at sizes that are no multiple of them: the picture of one piece."""
    if backend == "onnx":
        pytest.importorskip("onnxruntime")
    photo = picture(300, 220)
    runtime = Runtime(backend=backend, precision="fp32", threads=1)
    whole = runtime.stylize(photo, "ukiyoe", **options)
    monkeypatch.setattr("lgt.runtime.run.MAX_PIXELS", 100)
    monkeypatch.setattr("lgt.runtime.run.TILE", 7)
    assert difference(runtime.stylize(photo, "ukiyoe", **options), whole).max() <= 1


def test_tiles_see_as_much_as_the_codec(torch_model):
    _, codec = torch_model
    assert max(reach(codec)) <= HALO


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
    masked = (*options, "--mask", tmp_path / "a.png")
    refused = run(PROGRAM, "transfer", tmp_path / "a.png", tmp_path / "c.png", *masked)
    assert (refused.returncode, "does not take --mask" in refused.stderr) == (2, True)
    many = run(PROGRAM, "transfer", tmp_path / "a.png", tmp_path / "a.png", tmp_path, *options)
    assert "does not take several files" in many.stderr
    video = run(PROGRAM, "transfer", "a.mp4", tmp_path / "b.mp4", *options)
    assert "does not take videos" in video.stderr
    other = run(PROGRAM, "styles")
    assert (other.returncode, "needs torch" in other.stderr) == (1, True)


def test_auto_leaves_to_torch_what_needs_it(tmp_path):
    from typer.testing import CliRunner

    from lgt.cli.app import _build

    picture().save(tmp_path / "a.png")
    command = ["transfer", str(tmp_path / "a.png"), str(tmp_path / "b.png"), "--style", "monet"]
    command += ["--model", "embedded", "--backend", "auto"]
    assert "openvino" in CliRunner().invoke(_build(), command).output
    out = CliRunner().invoke(_build(), [*command, "--repulsion", "0.5"]).output
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
    for option in (("--repulsion", 0.5), ("--backend", "torch")):
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


def test_requirements_without_torch_are_those_of_the_project():
    import re
    from pathlib import Path

    root = Path(__file__).resolve().parents[2]
    project = (root / "pyproject.toml").read_text()
    lines = (root / "requirements-runtime.txt").read_text().splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    assert wanted and all(f'"{line}"' in project for line in wanted)
    assert not [line for line in wanted if re.match("torch|diffusers", line)]


def test_all_styles_as_json_and_exif(tmp_path):
    import json

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
    assert made.settings == {"detail": torch_.config.inference.detail, "strength": 0.6}
    assert made.model.sha256 == torch_.fingerprint
    assert made.codec.fingerprint == codec.spec.fingerprint
    assert toys.run_lgt(*plain, *options[:4], "--backend", "torch").exit_code == 0
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
    assert refused.exit_code == 2 and "embedded codec only" in refused.output


def test_what_only_torch_painted_is_not_replayed_without(tmp_path):
    from lgt.paint.provenance import Provenance
    from lgt.runtime.record import arguments, file_record, provenance

    picture(8, 8).save(tmp_path / "a.png")
    made = provenance(Runtime(), file_record(tmp_path / "a.png"), "monet", {"detail": 0.5})
    assert arguments(made)[:2] == ("monet", {"detail": 0.5})
    for change, message in (
        ({"sheet": ("a", "b")}, "sheet"),
        ({"style": {"monet": 0.5, "durer": 0.5}}, "this style"),
        ({"settings": {"repulsion": 1}}, "repulsion"),
    ):
        with pytest.raises(InputError, match=message):
            arguments(Provenance(**{**made.model_dump(by_alias=True), **change}))


SIGNAL_AFTER_USE = """
import gc, signal, threading
from PIL import Image
from lgt.runtime import Runtime

seen = []
signal.signal(signal.SIGINT, lambda *_: seen.append(True))
held = [Runtime(backend="openvino", precision="fp32", threads=1)]
held[0].stylize(Image.new("RGB", (16, 16)), "monet")

def drop():
    held.clear()
    gc.collect()

worker = threading.Thread(target=drop)
worker.start()
worker.join()
signal.raise_signal(signal.SIGINT)
assert seen == [True]
"""


def test_regression_a_signal_after_another_thread_dropped_the_runtime_is_no_crash():
    """OpenVINO lends the main thread a signal stack and frees it when its last core goes."""
    subprocess.run([sys.executable, "-c", SIGNAL_AFTER_USE], check=True)
