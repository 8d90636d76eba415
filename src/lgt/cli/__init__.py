"""The command line: `lgt COMMAND`; one module a command, imported when it is called."""

from lgt.cli.app import main, run_command

__all__ = ["main", "run_command"]
