"""The ComfyUI nodes keep ComfyUI's contract: names, types, shapes, ranges."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
import toys

from lgt.errors import InputError

FOLDER = Path(__file__).resolve().parents[2] / "integrations" / "comfyui"
KINDS = {"IMAGE", "LATENT", "LGT_MODEL", "FLOAT", "INT", "BOOLEAN", "STRING"}


@pytest.fixture(scope="module")
def nodes() -> Any:
    """Import the folder as ComfyUI does: as a package named by its path."""
    name = "custom_nodes_lgt"
    spec = importlib.util.spec_from_file_location(
        name, FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return sys.modules[f"{name}.nodes"]


@pytest.fixture(scope="module")
def model(nodes: Any) -> Any:
    (model,) = nodes.LGTModelLoader().load_model("embedded", "cpu")
    return model


def images(batch: int = 2, height: int = 30, width: int = 44) -> torch.Tensor:
    return torch.rand(batch, height, width, 3, generator=torch.Generator().manual_seed(0))


def arguments(node: type, **given: Any) -> dict[str, Any]:
    """Return the defaults of a node's inputs, as ComfyUI would send them."""
    values = {}
    for name, (kind, *options) in node.INPUT_TYPES()["required"].items():  # type: ignore[attr-defined]
        if isinstance(kind, list):
            values[name] = kind[0]
        elif options:
            values[name] = options[0]["default"]
    return values | given


def test_defaults_paint_what_python_paints(nodes: Any, model: Any) -> None:
    """What a node shows as its default is what the pipeline does unasked."""
    photo = images(1)
    given = arguments(nodes.LGTStylize, model=model, image=photo, style="monet")
    (painted,) = nodes.LGTStylize().stylize(**given)
    seeded = torch.Generator().manual_seed(0)
    plain = model(photo.movedim(-1, 1), "monet", generator=seeded, output_type="pt").images
    torch.testing.assert_close(painted, plain.movedim(1, -1))


def test_contract(nodes: Any) -> None:
    package = sys.modules["custom_nodes_lgt"]
    assert package.NODE_CLASS_MAPPINGS is nodes.NODE_CLASS_MAPPINGS  # type: ignore[attr-defined]
    assert nodes.NODE_CLASS_MAPPINGS.keys() == nodes.NODE_DISPLAY_NAME_MAPPINGS.keys()
    for name, node in nodes.NODE_CLASS_MAPPINGS.items():
        inputs = node.INPUT_TYPES()
        assert set(inputs) <= {"required", "optional", "hidden"}, name
        method = getattr(node(), node.FUNCTION)
        expected = {**inputs["required"], **inputs.get("optional", {})}
        assert set(inspect.signature(method).parameters) == set(expected), name
        assert isinstance(node.RETURN_TYPES, tuple) and node.CATEGORY == "LGT"
        for kind, *options in expected.values():
            if isinstance(kind, list):
                assert kind and all(isinstance(choice, str) for choice in kind)
            else:
                assert kind in KINDS
            assert len(options) <= 1 and all(isinstance(option, dict) for option in options)


def test_styles_are_a_list_to_choose_from(nodes: Any) -> None:
    choices = nodes.LGTStylize.INPUT_TYPES()["required"]["style"][0]
    assert "vangogh" in choices and "photo" not in choices
    assert nodes.LGTStylize.VALIDATE_INPUTS("vangogh") is True


def test_images_in_images_out(nodes: Any, model: Any) -> None:
    node = nodes.LGTStylize()
    photo = images()
    (painted,) = node.stylize(**arguments(nodes.LGTStylize, model=model, image=photo))
    assert painted.shape == photo.shape and painted.dtype == torch.float32
    assert float(painted.min()) >= 0 and float(painted.max()) <= 1
    (none,) = node.stylize(**arguments(nodes.LGTStylize, model=model, image=photo, strength=0.0))
    assert float((none - photo).abs().max()) <= 1 / 255
    with pytest.raises(InputError, match="unknown style"):
        node.stylize(**arguments(nodes.LGTStylize, model=model, image=photo, style="nothing"))


def test_latents_are_stable_diffusions(nodes: Any, model: Any) -> None:
    photo = images(1, 32, 48)
    (latent,) = nodes.LGTEncode().encode(model, photo)
    assert latent["samples"].shape == (1, 4, 4, 6)
    # Unscaled samples are about 1 / 0.18 times larger than what the network sees.
    from lgt.codec import encode_image

    scaled = encode_image(model.codec, photo.movedim(-1, 1))
    torch.testing.assert_close(latent["samples"] * 0.18215, scaled)
    given = {**latent, "noise_mask": "kept"}
    options = arguments(nodes.LGTTransfer, model=model, samples=given)
    (moved,) = nodes.LGTTransfer().transfer(**options)
    assert moved["noise_mask"] == "kept" and moved["samples"].shape == latent["samples"].shape
    assert not torch.allclose(moved["samples"], latent["samples"], atol=0.1)
    (same,) = nodes.LGTTransfer().transfer(**options | {"strength": 0.0})
    torch.testing.assert_close(same["samples"], latent["samples"])
    (image,) = nodes.LGTDecode().decode(model, moved)
    assert image.shape == photo.shape
    assert float(image.min()) >= 0 and float(image.max()) <= 1


def test_odd_sizes_are_padded(nodes: Any, model: Any) -> None:
    (latent,) = nodes.LGTEncode().encode(model, images(1, 30, 44))
    assert latent["samples"].shape == (1, 4, 4, 6)


def test_models_of_comfyui(nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toys.write_model(tmp_path / "lgt" / "toy.pt")
    (tmp_path / "lgt" / "bad.pt").write_bytes(b"x")
    folder_paths = types.ModuleType("folder_paths")
    folder_paths.models_dir = str(tmp_path)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "folder_paths", folder_paths)
    assert nodes.LGTModelLoader.INPUT_TYPES()["required"]["model"][0] == [
        "embedded",
        "bad.pt",
        "toy.pt",
    ]
    assert "paint" in nodes.style_choices()
    (toy,) = nodes.LGTModelLoader().load_model("toy.pt", "cpu")
    assert toy.styles == toys.STYLES
    assert nodes.LGTModelLoader().load_model("toy.pt", "cpu")[0] is toy
    with pytest.raises(InputError, match="is not there any more"):
        nodes.LGTModelLoader().load_model("gone.pt", "cpu")


def test_the_bar_of_comfyui(nodes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    class Bar:
        def __init__(self, total: int) -> None:
            assert total == 100

        def update_absolute(self, value: int, total: int) -> None:
            seen.append(value)

    utils, management = types.ModuleType("comfy.utils"), types.ModuleType("comfy.model_management")
    utils.ProgressBar = Bar  # type: ignore[attr-defined]
    management.throw_exception_if_processing_interrupted = lambda: None  # type: ignore[attr-defined]
    comfy = types.ModuleType("comfy")
    comfy.utils, comfy.model_management = utils, management  # type: ignore[attr-defined]
    for name, module in (("", comfy), (".utils", utils), (".model_management", management)):
        monkeypatch.setitem(sys.modules, f"comfy{name}", module)
    report = nodes.progress_of(100)
    report(0.25)
    report(1.0)
    assert seen == [25, 100]


def test_what_a_node_offers_acts(nodes: Any, model: Any) -> None:
    photo = images(1, 44, 60)
    given = arguments(nodes.LGTStylize, model=model, image=photo, style="monet")
    changes: tuple[dict[str, Any], ...] = (
        {},
        {"detail": 1.0},
        {"strength": 0.5},
        {"style_scale": 1.5},
        {"preserve_color": True},
        {"steps": 4},
        {"steps": 4, "temperature": 1.0},
        {"canvas": 32},
    )
    painted = [nodes.LGTStylize().stylize(**(given | change))[0] for change in changes]
    for index, picture in enumerate(painted):
        assert all(not torch.equal(picture, other) for other in painted[:index]), changes[index]
