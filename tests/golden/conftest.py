"""`--update-golden` rewrites stored numbers: `pytest tests/golden --update-golden`.

Give the folder as above: pytest reads options only from the folders it is asked for.
"""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="rewrite tests/golden/*.json instead of comparing; add a line to CHANGELOG.md",
    )


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Return whether to rewrite the stored numbers."""
    return bool(request.config.getoption("--update-golden", default=False))
