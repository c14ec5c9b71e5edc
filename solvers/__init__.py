"""Proximal algorithms for `min f(x) + g(x)` on batches of images, and one driver for all."""

from solvers.accelerated_gradient import fista
from solvers.douglas_rachford import drs
from solvers.driver import Diverged, Result, Trace, run
from solvers.half_quadratic import hqs
from solvers.least_squares import cgls, sirt
from solvers.multipliers import admm
from solvers.protocols import State
from solvers.proximal_gradient import pgd

__all__ = [
    "Diverged",
    "Result",
    "State",
    "Trace",
    "admm",
    "cgls",
    "drs",
    "fista",
    "hqs",
    "pgd",
    "run",
    "sirt",
]
