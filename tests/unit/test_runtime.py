"""Transfer without torch gives the pictures of torch."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from scenes import difference, picture

pytest.importorskip("onnx")
pytest.importorskip("openvino")

from lgt.codec.tiles import reach
from lgt.errors import InputError, LGTWarning
from lgt.runtime import Runtime, engines
from lgt.runtime.engine import HALO, MAX_PIXELS


@pytest.fixture(autouse=True, scope="module")
def _cache(tmp_path_factory):
    """Keep compiled graphs from one test to the next."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LGT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("LGT_CACHE", str(folder))
    return folder


@pytest.fixture(scope="module")
def torch_model():
    from lgt.inference import LGTInference

    lgt = LGTInference(device="cpu")
    return lgt, lgt.load_codec()


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


MASK = Image.linear_gradient("L")


@pytest.mark.parametrize(
    "options",
    [
        {"strength": 0.4},
        {"detail": 0.5},
        {"color": 0.7},
        {"detail": 1.0, "strength": 0.6},
        {"max_side": 40},
        {"preserve_color": True},
        {"style_scale": 2.0},
        {"mask": MASK},
        {"detail_mask": MASK, "detail": 1.0},
        {"repulsion": 0.5},
        {"source_style": "photo"},
        {"tile": 64},
        {"style": {"vangogh": 0.6, "ukiyoe": 0.4}},
    ],
    ids=lambda options: "-".join(options),
)
def test_controls_do_what_they_do_in_torch(torch_model, options):
    lgt, codec = torch_model
    runtime = Runtime(backend="openvino", precision="fp32", threads=1)
    options = {"style": "monet"} | options
    plain, got = (runtime.stylize(picture(), **o) for o in ({"style": "monet"}, options))
    expected = lgt.stylize(picture(), codec=codec, **options)
    assert difference(got, expected).max() <= 1
    same = "tile" in options
    assert same or got.size != plain.size or difference(got, plain).max() > 1


def test_added_styles_are_those_of_torch(torch_model, tmp_path):
    from lgt.model.style_file import AddedStyle

    lgt, codec = torch_model
    length = lgt.network.style_dim + sum(a * b for a, b in lgt.network.offset_sizes)
    code = 0.1 * np.random.default_rng(0).standard_normal(length, np.float32)
    path = tmp_path / "mine.safetensors"
    AddedStyle(name="mine", code=code, model=lgt.model_hash, num_works=3).save(path)
    runtime = Runtime(backend="openvino", precision="fp32", threads=1)
    for style in (str(path), {str(path): 0.5, "monet": 0.5}):
        expected = lgt.stylize(picture(), style, codec=codec)
        assert difference(runtime.stylize(picture(), style), expected).max() <= 1
        assert difference(runtime.stylize(picture(), "monet"), expected).max() > 1


def test_changed_keys_change_the_picture():
    plain, changed = Runtime(), Runtime(changes=["inference.detail=0.3"])
    assert difference(*(r.stylize(picture(), "monet") for r in (plain, changed))).max() > 1
    assert changed.facts.changes == {"inference.detail": 0.3}


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


def test_compiled_graphs_are_kept_and_read_again(own_cache):
    folder = own_cache / "runtime"
    first = Runtime(threads=1).stylize(picture(), "monet")
    files = set(folder.glob("*.bin"))
    assert len(files) == 3, "encoder, network, decoder"
    assert difference(Runtime(threads=1).stylize(picture(), "monet"), first).max() == 0
    assert set(folder.glob("*.bin")) == files
    Runtime(threads=1).stylize(picture(), "durer")
    assert len(set(folder.glob("*.bin"))) == 4, "another style is another network alone"
    for file in files:
        file.write_bytes(b"damaged")
    assert difference(Runtime(threads=1).stylize(picture(), "monet"), first).max() == 0


def test_graphs_give_memory_back_and_go_on(monkeypatch):
    lgt = Runtime(threads=1)
    first = lgt.stylize(picture(), "monet")
    monkeypatch.setattr(engines, "MOST_KEPT", 0)
    for _ in range(2):
        assert lgt.stylize(picture(), "monet").tobytes() == first.tobytes()


@pytest.mark.slow
def test_int8_is_near_and_is_kept(own_cache, monkeypatch):
    pytest.importorskip("nncf")
    from lgt.runtime import int8

    one = next(int8.calibration_pictures())
    monkeypatch.setattr(int8, "calibration_pictures", lambda: [one[..., :64, :64]])
    image = Image.fromarray((one[0, :, 64:192, 64:160].transpose(1, 2, 0) * 255).astype(np.uint8))
    exact = Runtime(precision="fp32", threads=1).stylize(image, "monet")
    with pytest.warns(LGTWarning, match="about a minute, once"):
        got = Runtime(precision="int8", threads=1).stylize(image, "monet")
    assert 0.3 < difference(got, exact).mean() < 12
    monkeypatch.setattr(int8, "quantized", lambda *_: pytest.fail("was kept"))
    assert Runtime(precision="int8", threads=1).stylize(image, "monet").tobytes() == got.tobytes()


def test_int8_that_is_too_far_is_refused(own_cache, monkeypatch):
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
    with pytest.raises(InputError, match=r"pip install 'lgt\[int8\]'"):
        Runtime(precision="int8").stylize(picture(), "monet")
    with pytest.raises(InputError, match="for int8 use openvino"):
        Runtime(backend="onnx", precision="int8")


def test_calibration_pictures_differ():
    from lgt.runtime.int8 import SIDE, calibration_pictures

    pictures = list(calibration_pictures())
    assert all(p.shape == (1, 3, SIDE, SIDE) and p.dtype == np.float32 for p in pictures)
    assert all(p.min() >= 0 and p.max() <= 1 for p in pictures)
    assert len({p.tobytes() for p in pictures}) == len(pictures) == 8


def test_a_folder_stands_for_the_model_in_it():
    from lgt.model.shipped import MODEL_FOLDER

    assert Runtime(MODEL_FOLDER).facts.model.sha256 == Runtime().facts.model.sha256


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
        Runtime(precision="int8").stylize(Image.new("RGB", (2048, 1025)), "monet", canvas=0)


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
@pytest.mark.parametrize("options", [{}, {"detail": 0.0}, {"strength": 0.5}])
def test_tiles_change_nothing_but_rounding(backend, options, monkeypatch):
    """Many small tiles, at sizes that are no multiple of them: the picture of one piece."""
    if backend == "onnx":
        pytest.importorskip("onnxruntime")
    photo = picture(300, 220)
    runtime = Runtime(backend=backend, precision="fp32", threads=1)
    whole = runtime.stylize(photo, "ukiyoe", **options)
    monkeypatch.setattr("lgt.runtime.engine.MAX_PIXELS", 100)
    monkeypatch.setattr("lgt.runtime.engine.TILE", 7)
    assert difference(runtime.stylize(photo, "ukiyoe", **options), whole).max() <= 1


def test_tiles_see_as_much_as_the_codec(torch_model):
    _, codec = torch_model
    assert max(reach(codec)) <= HALO


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
