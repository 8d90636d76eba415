"""The `lgt` program: help, version, `lgt config`, errors and exit codes, start-up time."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer
from toys import run_lgt

from lgt import __version__
from lgt.cli import run_command
from lgt.cli.app import COMMANDS, _load
from lgt.cli.examples import EXAMPLES
from lgt.config import Config, config_to_dict, load_config
from lgt.errors import CheckpointError, LGTError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enter an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lgt(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `lgt ARGUMENTS` in a process of its own; `run_lgt` saves its start."""
    return subprocess.run([sys.executable, "-m", "lgt", *arguments], capture_output=True, text=True)


def test_help_lists_every_command() -> None:
    text = lgt("--help").stdout
    for name, (_, meaning) in COMMANDS.items():
        assert f"\n  {name} " in text
        assert meaning[:40] in text


def test_help_loads_nothing_large() -> None:
    code = (
        "import sys, lgt.cli\n"
        "sys.argv = ['lgt', '--help']\n"
        "try:\n    lgt.cli.main()\n"
        "finally:\n    print(sorted({'torch', 'numpy', 'pydantic', 'rich'} & set(sys.modules)))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.mark.skipif(sys.platform == "win32", reason="the resource module is POSIX only")
def test_help_is_quick() -> None:
    import resource

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    seconds = []
    for _ in range(5):
        start = spent()
        assert lgt("--help").returncode == 0
        seconds.append(spent() - start)
    # Processor time, so that a busy machine does not decide; 0.1 s is usual.
    assert min(seconds) < 0.3, f"least of {len(seconds)} runs: {min(seconds):.2f} s"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    result = lgt(name, "--help")
    assert result.returncode == 0, result.stderr
    assert f"Usage: lgt {name}" in result.stdout


@pytest.mark.parametrize(
    ("name", "line"), [(name, line) for name, lines in EXAMPLES.items() for line in lines]
)
def test_examples_of_the_help_are_commands(name: str, line: str) -> None:
    """Each is read by its own command: names, values and files that have to be there."""
    for file in ("photo.jpg", "clip.mp4", "sky.png", "out.png", "checkpoints/latest.pt"):
        Path(file).parent.mkdir(exist_ok=True)
        Path(file).touch()
    for folder in ("images", "trip", "photos", "works", "seen", "unseen"):
        Path(folder).mkdir()
    words = shlex.split(line.split(" <")[0])
    assert words[:2] == ["lgt", name]
    command = _load(name)
    context = command.make_context(name, words[2:])
    assert f"  {line}\n" in command.get_help(context) + "\n"
    with pytest.raises(Exception, match="No such option"):
        command.make_context(name, [*words[2:], "--no-such-option"])


def test_every_command_but_the_group_has_examples() -> None:
    assert set(EXAMPLES) == set(COMMANDS) - {"config"}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_in_the_list_is_the_first_line_of_the_command(name: str) -> None:
    place, text = COMMANDS[name]
    module, _, attribute = place.partition(":")
    target = getattr(import_module(module), attribute)
    if isinstance(target, typer.Typer):
        assert target.registered_callback is not None
        target = target.registered_callback.callback
    assert (target.__doc__ or "").splitlines()[0] == text


def test_version() -> None:
    assert lgt("--version").stdout == f"lgt {__version__}\n"


def test_a_misspelt_command_is_answered() -> None:
    result = run_lgt("trian")
    assert result.exit_code == 2
    assert "No such command 'trian'" in result.stderr
    assert "train" in result.stderr


def test_config_show_prints_the_values_in_force() -> None:
    Path("other.json").write_text('{"training": {"batch_size": 2}}')
    result = run_lgt("config", "show", "--config", "other.json", "--set", "loss.w_style=3")
    values = json.loads(result.stdout)
    assert values["training"]["batch_size"] == 2
    assert values["loss"]["w_style"] == 3
    assert values.keys() == config_to_dict(Config()).keys()


def test_config_init_writes_the_defaults_once() -> None:
    assert lgt("config", "init").returncode == 0
    assert load_config(Path("config.json")) == Config()
    again = run_lgt("config", "init")
    assert again.exit_code == 2
    assert again.stderr == (
        "error: config.json exists; give another name, such as own.json, or --force to replace it\n"
    )
    assert run_lgt("config", "init", "--force").exit_code == 0
    assert run_lgt("config", "init", "no/folder.json").exit_code == 2


@pytest.mark.parametrize("name", ["training.batch_size", "batch_size", "training"])
def test_config_explain_finds_keys(name: str) -> None:
    text = run_lgt("config", "explain", name).stdout
    assert "training.batch_size = 16\n    whole number, at least 1\n" in text


def test_config_explain_suggests() -> None:
    result = run_lgt("config", "explain", "batch_siz")
    assert result.exit_code == 2
    assert "did you mean batch_size" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        (("transfer", "a.jpg", "b.jpg", "--strength", "3"), "3"),
        (("transfer", "a.jpg", "b.jpg", "--num_steps", "four"), "four"),
        (("transfer", "a.jpg", "b.jpg", "--seed", "-1"), "-1"),
        (("serve", "--port", "99999"), "99999"),
    ],
)
def test_a_number_out_of_range_is_told(arguments: tuple[str, ...], seen: str) -> None:
    result = run_lgt(*arguments)
    assert result.exit_code == 2
    assert f"'{arguments[-2]}" in result.stderr
    assert seen in result.stderr.splitlines()[-1]


def test_mistakes_are_printed_without_traceback() -> None:
    result = lgt("config", "show", "--set", "training.batch_siz=3")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr == (
        "error: --set has 1 problem:\n"
        "  - training: unknown key 'batch_siz'; did you mean 'batch_size'?\n"
    )


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (LGTError("no light"), 1, "error: no light\n"),
        (CheckpointError("of another shape"), 2, "error: of another shape\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (typer.Exit(7), 7, ""),
        (None, 0, ""),
    ],
)
def test_run_command_turns_errors_into_messages(
    error: BaseException | None,
    code: int,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def work(number: int) -> None:
        """Do one thing."""
        assert number == 3
        if error is not None:
            raise error

    monkeypatch.setattr(sys, "argv", ["work.py", "3"])
    with pytest.raises(SystemExit) as caught:
        run_command(work)
    assert (caught.value.code or 0) == code
    assert capsys.readouterr().err == text


def test_run_command_does_not_hide_defects(monkeypatch: pytest.MonkeyPatch) -> None:
    def work() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(sys, "argv", ["work.py"])
    with pytest.raises(ZeroDivisionError):
        run_command(work)


@pytest.mark.parametrize(
    ("command", "unread", "words"),
    [
        (
            ("preprocess", "--raw_data_root", "raw", "--output_root", "out"),
            "data.style_subdirs=[]",
            "lgt preprocess does not act by it; of the configuration it reads data.codec, data.num",
        ),
        (("memory",), "checkpoint.save_dir=x", "lgt memory does not act by it; of the config"),
    ],
)
def test_keys_without_effect_are_refused(command: tuple[str, ...], unread: str, words: str) -> None:
    result = run_lgt(*command, "--set", unread)
    assert result.exit_code == 2
    assert f"--set {unread.partition('=')[0]}: would have no effect, as {words}" in result.stderr
