"""Shell completion: the protocol of `_LGT_COMPLETE`, commands, options of sub-commands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lgt.cli.app import COMMANDS


def complete(words: str, shell: str = "bash") -> list[str]:
    """Return what the shell's script is told for a line that ends in `words`."""
    parts = words.split(" ")
    variables = {"_LGT_COMPLETE": f"complete_{shell}", "COMP_WORDS": words}
    variables |= {"COMP_CWORD": str(len(parts) - 1), "_TYPER_COMPLETE_ARGS": words}
    result = subprocess.run(
        [sys.executable, "-m", "lgt"],
        env=os.environ | variables | {"_TYPER_COMPLETE_FISH_ACTION": "get-args"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.split("\n")


def test_commands_complete() -> None:
    assert set(COMMANDS) <= set(complete("lgt "))
    assert [word for word in complete("lgt tra") if word] == ["train", "transfer"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("lgt transfer --stren", {"--strength"}),
        ("lgt add-style --", {"--photos", "--minutes", "--model"}),
        ("lgt config ", {"show", "init", "explain"}),
        ("lgt config show --", {"--config", "--set"}),
        ("lgt doctor --j", {"--json"}),
    ],
)
def test_options_of_commands_complete(words: str, expected: set[str]) -> None:
    assert expected <= set(complete(words))


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells(shell: str) -> None:
    assert any("--strength" in line for line in complete("lgt transfer --stren", shell))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_names_the_program(shell: str) -> None:
    # Without a shell around it the program is told which one by its own switch.
    result = subprocess.run(
        [sys.executable, "-m", "lgt", "--show-completion", shell],
        env=os.environ | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert "_LGT_COMPLETE" in result.stdout and "lgt" in result.stdout


def test_the_script_is_installed(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "lgt", "--install-completion", "bash"],
        env=os.environ
        | {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    scripts = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix == ".sh"]
    assert any("_LGT_COMPLETE" in path.read_text() for path in scripts)
