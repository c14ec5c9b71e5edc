"""Jobs as scripts ask for them: what people bring is made what the rooms take, then handed on."""

import numpy as np
import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab import restoration
from proxlab.named_priors import as_prior
from proxlab.restoration import Restoration, Settings


def restore(
    y: Tensor | np.ndarray,
    op: LinearPhysics,
    prior: object,
    solver: str = "admm",
    *,
    noise: float | None = None,
    weight: float | None = None,
    sigma: float | None = None,
    steps: int = 400,
    tol: float = 1e-4,
    init: Tensor | None = None,
    progress: bool = False,
) -> Restoration:
    """Estimate the images behind y = op(x) + noise.

        op = proxlab.operators.deblur(kernel, noise=0.01)
        result = proxlab.restore(y, op, "lpn-gray")

    y: measurement [B, ...], a tensor or an array; op: an operator of `proxlab.operators` or any
    LinearPhysics of deepinv; prior: a name, a prior, a denoiser of deepinv, or an nn.Module called
    as net(v, sigma) or net(v); solver: "pgd", "fista", "admm", "drs" or "hqs"; noise: standard
    deviation of the measurement in its own units, that of the operator if None, and 0.01 where that
    knows none; weight: of the prior, its own default if None; sigma: noise level of the prior at
    the end, image units, by `default_sigma` if None; steps: at most so many, those of the descent
    included; tol: relative residual at which an image stops; init: first estimate [B, C, H, W],
    from which the solver starts without a descent; progress: whether to draw a bar.
    Raises ValueError or TypeError on what cannot be, solvers.Diverged with the step when iterates
    blow up. Sources: see `proxlab.restoration.restoring`.
    """
    if isinstance(y, np.ndarray):
        y = torch.from_numpy(y)
    settings = Settings(
        solver=solver, sigma=sigma, steps=steps, tol=tol, weight=weight, noise=noise
    )
    return restoration.restore(y, op, as_prior(prior), settings, init=init, progress=progress)
