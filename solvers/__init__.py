"""Proximal algorithms for `min f(x) + g(x)` on batches of images, one driver, and samplers."""

from solvers.accelerated_gradient import fista
from solvers.diffusion_schedule import VP, even_grid, power_grid, uniform_grid
from solvers.douglas_rachford import drs
from solvers.driver import Diverged, Result, Trace, run
from solvers.half_quadratic import hqs
from solvers.least_squares import cgls, sirt
from solvers.multipliers import admm
from solvers.protocols import State
from solvers.proximal_diffusion import proxdm, step_sizes
from solvers.proximal_gradient import pgd
from solvers.score_diffusion import score

__all__ = [
    "VP",
    "Diverged",
    "Result",
    "State",
    "Trace",
    "admm",
    "cgls",
    "drs",
    "even_grid",
    "fista",
    "hqs",
    "pgd",
    "power_grid",
    "proxdm",
    "run",
    "score",
    "sirt",
    "step_sizes",
    "uniform_grid",
]
