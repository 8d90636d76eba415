"""Dynamics: how a state moves from its start to the image at t = 1."""

from __future__ import annotations

from lgt.dynamics.guidance import guided, repelled
from lgt.dynamics.interpolant import interpolant_velocity, interpolate, start_state
from lgt.dynamics.schedules import Schedule, constant, decaying_guidance, temperature
from lgt.dynamics.solvers import (
    SOLVERS,
    Solver,
    Velocity,
    euler,
    euler_maruyama,
    euler_step,
    heun,
    heun_step,
    integrate,
    with_kinetic_energy,
)

__all__ = [
    "SOLVERS",
    "Schedule",
    "Solver",
    "Velocity",
    "constant",
    "decaying_guidance",
    "euler",
    "euler_maruyama",
    "euler_step",
    "guided",
    "heun",
    "heun_step",
    "integrate",
    "interpolant_velocity",
    "interpolate",
    "repelled",
    "start_state",
    "temperature",
    "with_kinetic_energy",
]
