"""The design holds: layers, public names, length of files, light imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image

import lgt
from lgt.image import save_image

SOURCE = Path(lgt.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
LAYERS = (
    "errors",
    "extras",
    "files",
    "names",
    "stores",
    "numbers",
    "damage",
    "lock",
    "cluster",
    "exact",
    "device",
    "processor",
    "seeds",
    "dynamics",
    "nn",
    "energy",
    "image",
    "codec",
    "config",
    "data",
    "build",
    "model",
    "paint",
    "runtime",
    "report",
    "metrics",
    "train",
    "video",
    "batch",
    "pipeline_io",
    "pipeline",
    "inference",
    "doctor",
    "web",
    "site",
    "cli",
)
"""One name a layer, lowest first: an import goes down this list, never up."""
LEVEL = {name: level for level, name in enumerate(LAYERS)}
MAX_LINES = 400


def module_of(path: Path) -> str:
    parts = ("lgt", *path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = frozenset(module_of(path) for path in FILES)


def imported(path: Path, *, at_run_time: bool = False) -> Iterator[str]:
    """Yield every module of the package that a file imports, at any depth of its code.

    Args:
        path: The file.
        at_run_time: Leave out what only type checkers import; name submodules, not their package.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    left_out: set[ast.AST] = set()
    for node in ast.walk(tree):
        if at_run_time and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            left_out |= {inner for part in node.body for inner in ast.walk(part)}
    for node in ast.walk(tree):
        if node in left_out:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("lgt."))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            if node.module == "lgt":
                yield from (f"lgt.{alias.name}" for alias in node.names if alias.name in LEVEL)
            elif node.module is not None and node.module.startswith("lgt."):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                inner = [name for name in names if at_run_time and name in MODULES]
                yield from inner
                if len(inner) < len(names):
                    yield node.module


def test_imports_go_down() -> None:
    checked = 0
    for path in FILES:
        here = module_of(path).split(".")
        if len(here) < 2 or here[1] not in LEVEL:
            continue
        for name in imported(path):
            there = name.split(".")[1]
            assert LEVEL[there] <= LEVEL[here[1]], (
                f"{'.'.join(here)} imports {name}, a higher layer"
            )
            checked += 1
    assert checked > 30


def test_layers_are_all_there() -> None:
    top = {path.relative_to(SOURCE).parts[0].removesuffix(".py") for path in FILES}
    assert set(LAYERS) == top - {"__init__", "__main__"}


def test_no_module_imports_itself_in_a_circle() -> None:
    """Nor by way of others; what is imported for types alone does not count."""
    known = {module_of(path): path for path in FILES}
    graph = {
        name: {m for m in imported(path, at_run_time=True) if m in known} - {name}
        for name, path in known.items()
    }
    assert sum(map(len, graph.values())) > 300

    def reached(name: str) -> set[str]:
        seen: set[str] = set()
        waiting = [name]
        while waiting:
            new = graph[waiting.pop()] - seen
            seen |= new
            waiting += new
        return seen

    circles = sorted(name for name in graph if name in reached(name))
    assert circles == []


def test_the_core_reads_no_configuration() -> None:
    below = LAYERS[: LAYERS.index("image")]
    core = [path for path in FILES if path.relative_to(SOURCE).parts[0] in below]
    assert core
    for path in core:
        text = path.read_text(encoding="utf-8")
        assert "pydantic" not in text, f"{path}: the core takes plain arguments"


@pytest.mark.parametrize("name", [module_of(path) for path in FILES if path.stem != "__main__"])
def test_public_names_resolve(name: str) -> None:
    module = import_module(name)
    for public in getattr(module, "__all__", []):
        assert getattr(module, public, None) is not None, f"{name}.{public}"


def test_lazy_names_are_the_public_names() -> None:
    assert set(lgt.__all__) <= set(dir(lgt))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = lgt.nothing


def test_files_are_short() -> None:
    tests = [*Path(__file__).parents[1].rglob("*.py")]
    assert len(tests) > 5
    for path in [*FILES, *tests]:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= MAX_LINES, f"{path} has {lines} lines; split it"


def test_importing_the_package_loads_nothing_large() -> None:
    code = (
        "import sys, lgt; print(sorted({'torch', 'numpy', 'pydantic', 'PIL'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "[]\n", result.stderr


def test_a_help_loads_nothing_large() -> None:
    """Of every command: its module is imported to show its options, and nothing is computed."""
    code = (
        "import sys; from importlib import import_module; from lgt.cli.app import COMMANDS\n"
        "for name, (place, _) in COMMANDS.items():\n"
        "    import_module(place.partition(':')[0])\n"
        "    print(name, sorted({'torch', 'numpy', 'PIL'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    lines = result.stdout.splitlines()
    assert len(lines) > 10, result.stderr
    assert [line for line in lines if not line.endswith("[]")] == []


def test_a_transfer_loads_only_what_it_needs(tmp_path: Path) -> None:
    """The whole command: codec and model of the package, one picture in, one out."""
    save_image(Image.new("RGB", (16, 24), "teal"), tmp_path / "in.png")
    heavy = (
        "diffusers accelerate transformers huggingface_hub torch._dynamo torch._inductor scipy "
        "torchvision rich sympy skimage lgt.train.loop lgt.train.objective lgt.codec.hub"
    )
    code = (
        "import sys\n"
        "from lgt.cli import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        f"print([name for name in {heavy.split()} if name in sys.modules])\n"
    )
    command = ["transfer", "in.png", "out.png", "--style", "0", "--num_steps", "1"]
    result = subprocess.run(
        [sys.executable, "-c", code, *command], capture_output=True, text=True, cwd=tmp_path
    )
    assert result.stdout.endswith("\n[]\n"), result.stdout + result.stderr
    assert (tmp_path / "out.png").is_file()
