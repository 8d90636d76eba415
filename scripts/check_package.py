"""Build the package, check it, install it as a user would, and paint; print size and seconds.

    python scripts/check_package.py            # what CI does: the core, without torch
    python scripts/check_package.py train      # an extra as well, to compare

prints one JSON line for each installation: what it takes, in MB, the seconds of pip,
and of the first `lgt transfer`. The environments are made in a temporary folder; pip's cache is
used, so the seconds are those of unpacking unless `--no-cache` is given.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PHOTO = ROOT / "src" / "lgt" / "assets" / "model" / "source.jpg"
CORE = "core"


def run(*words: str | Path, cwd: Path) -> str:
    """Run a command outside the repository's own environment; return what it prints.

    Raises:
        SystemExit: It fails.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "LGT_"))}
    command = [str(word) for word in words]
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"check_package: {' '.join(command)} failed\n{done.stdout}{done.stderr}")
    return done.stdout


def build(folder: Path) -> Path:
    """Build sdist and wheel, the wheel from the sdist, and check both; return the wheel."""
    python = sys.executable
    run(python, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    files = sorted(folder.iterdir())
    run(python, "-m", "twine", "check", "--strict", *files, cwd=folder)
    for path in files:
        sys.stdout.write(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB\n")
    (wheel,), (source,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    if (ROOT / ".git").exists():
        check_source(source)
    return wheel


def check_source(path: Path) -> None:
    """Refuse a source distribution with files of nobody's, or without those that README names.

    Raises:
        SystemExit: Names some of them.
    """
    listed = run("git", "ls-files", cwd=ROOT)
    known = set(listed.splitlines())
    with tarfile.open(path) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    strange = sorted(packed - known - {"PKG-INFO", ""})
    missing = sorted({"Makefile", "constraints.txt", "config.json", "train.py"} - packed)
    if strange or missing:
        raise SystemExit(f"check_package: {path.name} holds {strange[:5]}, lacks {missing}")


def megabytes(folder: Path) -> float:
    """Return the size of all files below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files) / 1e6


def largest(home: Path, count: int = 4) -> dict[str, int]:
    """Return the largest packages of an environment, in MB."""
    (packages,) = home.glob("[lL]ib/**/site-packages")
    sizes = {path.name: megabytes(path) for path in packages.iterdir() if path.is_dir()}
    names = sorted(sizes, key=lambda name: -sizes[name])[:count]
    return {name: round(sizes[name]) for name in names}


def install(wheel: Path, extra: str, folder: Path, *options: str) -> dict[str, object]:
    """Install the wheel, or one of its extras, in a new environment, and paint with it there."""
    home = folder / extra
    venv.create(home, with_pip=True)
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    empty = megabytes(home)
    wanted = str(wheel) if extra == CORE else f"{wheel}[{extra}]"
    pip: tuple[str | Path, ...] = (python, "-m", "pip", "install", "--quiet")
    began = time.monotonic()
    run(*pip, *options, "-c", ROOT / "constraints.txt", wanted, cwd=folder)
    seconds = time.monotonic() - began
    size = megabytes(home) - empty
    run(python, "-m", "pip", "check", cwd=folder)
    report = json.loads(run(python, "-m", "lgt", "doctor", "--json", cwd=folder))
    found = {finding["name"]: finding for finding in report["findings"]}
    if extra == CORE and found["torch"]["status"] != "note":
        raise SystemExit("check_package: the core has brought torch")
    began = time.monotonic()
    painted = run(
        python, "-m", "lgt", "transfer", PHOTO, "out.jpg", "--style", "vangogh", cwd=folder
    )
    return {
        "install": "lgt" if extra == CORE else f"lgt[{extra}]",
        "megabytes": round(size),
        "largest": largest(home),
        "pip_seconds": round(seconds, 1),
        "first_transfer_seconds": round(time.monotonic() - began, 1),
        "painted": painted.strip(),
        "backend": found["backend"]["text"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("extras", nargs="*", help="extras to install as well, each alone")
    parser.add_argument("--no-cache", action="store_true", help="download everything again")
    parser.add_argument("--wheel", type=Path, help="a wheel to take instead of building one")
    args = parser.parse_args()
    options = ("--no-cache-dir",) if args.no_cache else ()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "dist").mkdir()
        wheel = args.wheel.resolve() if args.wheel else build(folder / "dist")
        for extra in (CORE, *args.extras):
            sys.stdout.write(json.dumps(install(wheel, extra, folder, *options)) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
