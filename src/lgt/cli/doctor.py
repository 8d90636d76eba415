"""`lgt doctor`: what is installed, and whether it works."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from lgt.cli.options import AnyDeviceOption
from lgt.cli.say import echo

_MARKS = {"ok": "ok    ", "note": "note  ", "broken": "BROKEN"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    model: Annotated[
        str, typer.Option(metavar="FILE", help="Model of the self-check.")
    ] = "embedded",
    device: AnyDeviceOption = "auto",
) -> None:
    """Say what is installed, what would be used, and whether it works.

    Exit code 1 if something needed is broken. Nothing is fetched.
    """
    from lgt.doctor import as_values, examine, is_healthy

    findings = examine(model, device)
    if as_json:
        echo(json.dumps(as_values(findings), indent=2))
    else:
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            echo(f"{_MARKS[finding.status]}  {finding.name:{width}}  {finding.text}")
            if finding.advice:
                echo(f"{'':6}  {'':{width}}  -> {finding.advice}")
    if not is_healthy(findings):
        raise typer.Exit(1)
