"""How long tests wait before they call something hung; no test may depend on a machine's speed."""

from __future__ import annotations

HANG = 900
"""Seconds that nothing takes which is not stuck."""
