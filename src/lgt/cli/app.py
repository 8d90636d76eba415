"""The `lgt` program: a table of commands whose modules are imported when they are called."""

from __future__ import annotations

import sys
import warnings
from contextlib import contextmanager
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from lgt import __version__
from lgt.cli.examples import EXAMPLES
from lgt.cli.say import echo
from lgt.errors import LGTError, LGTWarning
from lgt.extras import missing
from lgt.stores import is_store, refuse_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STORED = {"preprocess": ("raw_data_root",), "transfer": ("inputs", "output_path")}
"""What may lie in an object store, by command and parameter; elsewhere no address is taken."""

COMMANDS = {
    "preprocess": ("lgt.cli.preprocess:preprocess", "Turn folders of images into latents."),
    "train": (
        "lgt.cli.train:train",
        "Train one network for all styles; reads config.json, writes checkpoints/.",
    ),
    "memory": (
        "lgt.cli.memory:memory",
        "Print the memory of a training, in GiB, by batch size and picture size.",
    ),
    "report": (
        "lgt.cli.report:report",
        "Write the HTML report of a training run: curves, pictures over time, settings, warnings.",
    ),
    "transfer": (
        "lgt.cli.transfer:transfer",
        "Give a picture, many, or a video the style of a trained model; the size stays.",
    ),
    "inspect": (
        "lgt.cli.inspect_cmd:inspect",
        "Show how a picture or video was made, from its own file; make it again.",
    ),
    "styles": ("lgt.cli.styles:styles", "List the styles of a model, with a picture of each."),
    "add-style": (
        "lgt.cli.add_style:add_style",
        "Learn one more style for a trained model from a few pictures, in minutes.",
    ),
    "polish": (
        "lgt.cli.polish:polish",
        "Let a trained model do at once what `lgt transfer --refine` needs its steps for.",
    ),
    "pack": ("lgt.cli.pack:pack", "Turn a checkpoint into a small file that only transfers."),
    "export": (
        "lgt.cli.export_cmd:export",
        "Write one style of a model as an ONNX file, or a web page that paints without a server.",
    ),
    "evaluate": (
        "lgt.cli.evaluate:evaluate",
        "Measure checkpoints or folders of results against photos and real works.",
    ),
    "serve": (
        "lgt.cli.serve:serve",
        "Paint photos in the browser: a page and an HTTP API on this machine.",
    ),
    "doctor": (
        "lgt.cli.doctor:doctor",
        "Say what is installed, what would be used, and whether it works.",
    ),
    "config": ("lgt.cli.config_cmd:app", "Show, write and explain the configuration."),
}
"""Name of a command -> where its function or application lives, and its one-line help."""

NEEDS = {
    "preprocess": "train",
    "train": "train",
    "memory": "train",
    "add-style": "train",
    "polish": "train",
    "evaluate": "metrics",
    "serve": "web",
}
"""Name of a command -> the extra that brings all of it; of others, the missing package's."""

MISSING = 1
"""Exit code where a package is missing that an extra brings."""

INTERRUPTED = 130
"""Exit code after Ctrl-C (128 + SIGINT)."""


@contextmanager
def plain_errors(command: str | None = None) -> Iterator[None]:
    """Turn expected failures into one message on standard error and an exit code.

    Args:
        command: Name of the command that runs.
    """
    try:
        yield
    except LGTError as error:
        echo(f"error: {error}", err=True)
        raise typer.Exit(error.exit_code) from error
    except ModuleNotFoundError as error:
        if (text := missing(error.name or "", NEEDS.get(command or ""))) is None:
            raise
        what = "this" if command is None else f"lgt {command}"
        echo(f"error: {what} needs a package that is not here; {text}", err=True)
        raise typer.Exit(MISSING) from error
    except KeyboardInterrupt as error:
        echo("interrupted", err=True)
        raise typer.Exit(INTERRUPTED) from error


class Command(TyperCommand):
    """A command that reports an `LGTError` as a message, and whose help ends in examples."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the command's examples, each on one line."""
        lines = EXAMPLES.get(self.name or "", ())
        if lines:
            with formatter.section("Examples"):
                for line in lines:
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments; say what was seen where the message says only what should be."""
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            from pydantic import ValidationError  # Here, not above: `lgt --help` needs none.

            if isinstance(cause := error.__cause__, ValidationError):
                error.message += f" (got {cause.errors()[0]['input']!r})"
            raise

    def invoke(self, ctx: Any) -> Any:
        """Run the command's function."""
        with plain_errors(self.name if self.name in COMMANDS else None):
            for parameter in self.params:
                given = ctx.params.get(parameter.name)
                may_be_stored = parameter.name in STORED.get(self.name or "", ())
                for each in given if isinstance(given, (list, tuple)) else (given,):
                    is_named = isinstance(each, str) and parameter.param_type_name == "argument"
                    if not (is_named or isinstance(each, Path)):
                        continue
                    if not (may_be_stored and is_store(Path(each))):
                        refuse_address(Path(each))
            return super().invoke(ctx)


class LazyGroup(TyperGroup):
    """A group whose commands are placeholders until one of them is called."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        with plain_errors():
            return super().invoke(ctx)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the called command and import its module."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in COMMANDS:
            command = _load(name)
        return name, command, rest


def _load(name: str) -> Any:
    """Import a command and return it in the form that the group runs."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    target = getattr(import_module(module), attribute)
    application = target if isinstance(target, typer.Typer) else _application_of(target, name)
    command: Any = typer.main.get_command(application)
    command.name = name
    return command


def _application_of(function: Callable[..., object], name: str | None = None) -> typer.Typer:
    """Wrap one function as a complete program."""
    application = typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
    )
    application.command(name=name, cls=Command)(function)
    return application


def _print_version(wanted: bool) -> None:
    if wanted:
        echo(f"lgt {__version__}")
        raise typer.Exit


def _build() -> typer.Typer:
    application = typer.Typer(
        cls=LazyGroup,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @application.callback()
    def lgt(
        version: Annotated[
            bool,
            typer.Option(
                "--version", help="Print the version.", callback=_print_version, is_eager=True
            ),
        ] = False,
    ) -> None:
        """Style transfer in latent space: preprocess images, train on them, transfer styles."""

    for name, (_, text) in COMMANDS.items():
        application.command(name=name, help=text)(_placeholder)
    return application


def _placeholder() -> None:
    """Stand in for a command in the list of `lgt --help`."""


def _show_plainly() -> None:
    """Print our own warnings as one line each, all others as Python does."""
    usual = warnings.showwarning

    def show(message: Any, category: type[Warning], *rest: Any, **options: Any) -> None:
        if issubclass(category, LGTWarning):
            echo(f"WARNING: {message}", err=True)
        else:
            usual(message, category, *rest, **options)

    warnings.showwarning = show


def _print_any_name() -> None:
    """Let the console show, in another way, what its encoding lacks: names of files hold any."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def main() -> None:
    """Run `lgt` with the arguments of the process."""
    _show_plainly()
    _print_any_name()
    _build()(prog_name="lgt")


def run_command(function: Callable[..., object]) -> NoReturn:
    """Run one function as a command-line program and leave the process.

    Args:
        function: its annotated parameters are the program's arguments and options.
    """
    _show_plainly()
    _print_any_name()
    _application_of(function)()
    sys.exit(0)
