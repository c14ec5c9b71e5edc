"""Proximal algorithms for `min f(x) + g(x)` on batches of images, one driver, and samplers.

    result = run(admm(f, g, x, tau=0.5), max_steps=200, tol=1e-5)
    result.x, result.steps, result.stopped, result.certified

The ground floor: algorithms on objects with `prox`, `grad` and `value` (`solvers.protocols`), also
for someone who knows nothing of proxlab. This room may import torch, tqdm for a progress bar, and
nothing of ours. The names below are what most people need; the other files are imported by name:
`solvers.conditions` says which step sizes are proved, `solvers.schedules` makes sequences of them.
"""

from solvers.accelerated_gradient import fista
from solvers.diffusion.proximal import Sample, proxdm, step_sizes
from solvers.diffusion.restricted import Restricted
from solvers.diffusion.schedule import VP, even_grid, karras_grid, power_grid, uniform_grid
from solvers.diffusion.score import score
from solvers.diffusion.spread import JacobianSpread, ScalarSpread
from solvers.douglas_rachford import drs
from solvers.driver import Diverged, Result, Trace, run
from solvers.half_quadratic import hqs
from solvers.least_squares import cgls, sirt
from solvers.linear_systems import Solution, conjugate_gradient
from solvers.multipliers import admm
from solvers.posteriors.annealed import PosteriorState, posterior
from solvers.posteriors.covariances import (
    JacobianCovariance,
    ScalarCovariance,
    SpectralCovariance,
)
from solvers.posteriors.guided import guided
from solvers.posteriors.observations import LinearObservation, Unobserved
from solvers.primal_dual import condat_vu, pdhg
from solvers.protocols import DataTerm, HasProxAndValue, HasValue, Prior, Selectable, State
from solvers.proximal_gradient import pgd
from solvers.spectrum import Spectrum, jacobian_spectrum

__all__ = [
    "VP",
    "DataTerm",
    "Diverged",
    "HasProxAndValue",
    "HasValue",
    "JacobianCovariance",
    "JacobianSpread",
    "LinearObservation",
    "PosteriorState",
    "Prior",
    "Restricted",
    "Result",
    "Sample",
    "ScalarCovariance",
    "ScalarSpread",
    "Selectable",
    "Solution",
    "SpectralCovariance",
    "Spectrum",
    "State",
    "Trace",
    "Unobserved",
    "admm",
    "cgls",
    "condat_vu",
    "conjugate_gradient",
    "drs",
    "even_grid",
    "fista",
    "guided",
    "hqs",
    "jacobian_spectrum",
    "karras_grid",
    "pdhg",
    "pgd",
    "posterior",
    "power_grid",
    "proxdm",
    "run",
    "score",
    "sirt",
    "step_sizes",
    "uniform_grid",
]
