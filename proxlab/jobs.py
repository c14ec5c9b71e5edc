"""Jobs as scripts ask for them: what people bring is made what the rooms take, then handed on."""

from collections.abc import Iterable
from typing import TypeVar, cast

import numpy as np
import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab import restoration
from proxlab.named_priors import as_prior
from proxlab.posteriors import laplace
from proxlab.posteriors.drawing import Wanted, prepared
from proxlab.posteriors.samples import Posterior, joined
from proxlab.priors.contract import Prior
from proxlab.priors.jacobians.contract import PROBES
from proxlab.priors.tiles.tiled_prior import TiledPrior
from proxlab.priors.tiles.within_memory import within_memory
from proxlab.restoration import Checks, Restoration, Settings
from proxlab.restoration.fixed_level import Fitted
from proxlab.restoration.premises import KnownPrior
from solvers.progress import progress_bar

_Kept = TypeVar("_Kept")
CHECKS = Checks()
"""All of them."""


def restore(
    y: Tensor | np.ndarray,
    op: LinearPhysics,
    prior: object,
    solver: str | None = None,
    *,
    noise: float | Tensor | np.ndarray | str | None = None,
    weight: float | Tensor | np.ndarray | None = None,
    sigma: float | Tensor | np.ndarray | None = None,
    steps: int | None = None,
    tol: float | Tensor | np.ndarray = 1e-4,
    init: Tensor | np.ndarray | None = None,
    checks: Checks = CHECKS,
    progress: bool = False,
) -> Restoration:
    """Estimate the images behind y = op(x) + noise.

    y: measurement [B, ...], a tensor or an array; op: an operator of `proxlab.operators` or any
    LinearPhysics of deepinv; prior: a name, a prior, a denoiser of deepinv, or an nn.Module called
    as net(v, sigma) or net(v); solver: "pgd", "fista", "admm", "drs", "hqs" or "pdhg", by default
    "pdhg" for tv and wavelets and "admm" for others; noise: standard deviation of the measurement
    in its own units, that of the operator if None, or "auto" for an estimate, which
    `premises.noise` of the result tells; weight: of the prior, its own default if None, 1 against
    noise alone; sigma: noise level of the prior at the end, image units, by `default_sigma` of each
    image if None; pdhg asks for no prox, and there it changes nothing; steps: at most so many,
    those of the descent included, 400 if None and 3000 of pdhg; tol: relative residual at which an
    image stops, for pdhg the duality gap over the objective. noise, weight, sigma and tol are
    numbers, or one for each image. init: first estimate [B, C, H, W], from which the solver starts
    without a descent; checks: what the evidence rests on; progress: whether to draw a bar.
    An image comes out as it does alone, whatever the others of its batch; one that diverges is NaN
    in every pixel, `stopped` and `doubts` say so, and the others are restored.
    Raises ValueError or TypeError on what cannot be, an operator that knows no noise level and an
    A_adjoint that is no adjoint among them, solvers.Diverged with the step if all images blow up.
    Sources: see `proxlab.restoration.restoring`.

    >>> from skimage.data import camera
    >>> x = torch.from_numpy(camera()[96:160, 200:264] / 255).float()[None, None]
    >>> op = proxlab.operators.deblur(proxlab.operators.gaussian_kernel(1.0), noise=0.02)
    >>> y = op(x)
    >>> result = proxlab.restore(y, op, "lpn-gray")
    >>> result.image.shape, result.certified
    (torch.Size([1, 1, 64, 64]), [True])
    >>> proxlab.metrics.psnr(result.image, x) > proxlab.metrics.psnr(y, x) + 3   # dB
    tensor([True])
    """
    if not isinstance(checks, Checks):
        raise TypeError(f"checks is a proxlab.Checks(...), got {type(checks).__name__}")
    told = Settings(
        solver, _tensor(sigma), steps, _tensor(tol), _tensor(weight), _tensor(noise), checks
    )
    return restoration.restore(
        _tensor(y), op, as_prior(prior), told, init=_tensor(init), progress=progress, fit=fitted
    )


def fitted(prior: KnownPrior, images: Tensor) -> Fitted:
    """The prior in tiles where images of that size, [B, C, H, W], would take it much memory."""
    made = within_memory(cast(Prior, prior), images.shape, images.device)
    return Fitted(made, apart=isinstance(made, TiledPrior))


def posterior(
    y: Tensor | np.ndarray,
    op: LinearPhysics,
    prior: object,
    n: int = 16,
    *,
    steps: int | Iterable[float] = 10,
    noise: float | Tensor | np.ndarray | str | None = None,
    init: Tensor | np.ndarray | None = None,
    seed: int = 0,
    batch: int | None = None,
    progress: bool = False,
) -> Posterior:
    """Draw n of the images that may lie behind y = op(x) + noise: what is sure, and what is not.

    y: measurement [B, ...]; op: as for `restore`; prior: one whose prox is taken for the mean of
    the images behind a noisy one, as that of a learned denoiser is; an exact one has a covariance
    by construction, of others the nearest symmetric matrix is taken, which `doubts` of the result
    tell; steps: number of noise levels, each of them one evaluation of the prior and some products
    with its Jacobian, or the levels themselves, falling, image units; noise: standard deviation of
    the measurement in its own units, that of the operator if None, or "auto" for an estimate; init:
    image [B, C, H, W] at which all samples begin, the plain first estimate if None: noise drowns
    it, but for long waves of CT, so bring `restore`'s image there; seed: sample i of an image
    depends on (seed, i) and that image alone, to rounding, whatever n and batch; batch: number of
    samples at once; progress: whether to draw a bar.
    For Gaussian images the law of the samples is exact; docs/guides/posterior.md says what is
    measured for photographs, and when not to trust it.
    Raises ValueError or TypeError on what cannot be, as `restore`; for n, steps or batch below 1,
    and for tv and wavelets, whose prox is no mean. Sources: see `solvers.posteriors.annealed`.

    >>> op = proxlab.operators.inpaint(proxlab.operators.random_mask((32, 32), 0.5), noise=0.05)
    >>> y = op(torch.linspace(0, 1, 32).expand(1, 1, 32, 32))
    >>> post = proxlab.posterior(y, op, "lpn-gray-small", n=3, steps=4)
    >>> post.samples.shape, post.evaluations, post.doubts
    (torch.Size([3, 1, 1, 32, 32]), 4, ())
    >>> alone = proxlab.posterior(y, op, "lpn-gray-small", n=1, steps=4)
    >>> torch.allclose(alone.samples[0], post.samples[0], atol=1e-3)
    True
    """
    wanted = Wanted(n, steps, _tensor(noise), seed, batch)
    drawing = prepared(_tensor(y), op, as_prior(prior), wanted, _tensor(init))
    with progress_bar(progress, len(drawing.starts) * len(drawing.levels)) as bar:
        return joined([drawing.part(first, bar.update) for first in drawing.starts])


def laplace_spread(
    result: Restoration,
    y: Tensor | np.ndarray,
    op: LinearPhysics,
    prior: object,
    weight: float | None = None,
    probes: int = PROBES,
    seed: int = 0,
) -> Tensor:
    """Deviation of each pixel of a restored image, [B, C, H, W], by the Laplace approximation.

    That is the Gaussian around the minimiser that has the curvature of the objective there. Of a
    learned prior it is far too sure: with `lpn-gray` its 80 % intervals held 3 in 10 pixels of
    blurred held-out photographs, where those of `posterior` held 8. It is exact for quadratics.
    result: what `restore` made of y, op and prior with that weight, the prior's own if None;
    probes: linear systems to solve, at least 2, each of some tens of products with the Jacobian of
    the prox; seed: of their signs.
    Raises ValueError as `restore`, and for tv and wavelets, whose prox has no curvature.

    >>> op = proxlab.operators.inpaint(proxlab.operators.random_mask((16, 16), 0.5), noise=0.05)
    >>> y = op(torch.full((1, 1, 16, 16), 0.5))
    >>> result = proxlab.restore(y, op, "lpn-gray-small")
    >>> proxlab.laplace_spread(result, y, op, "lpn-gray-small", probes=8).shape
    torch.Size([1, 1, 16, 16])
    """
    return laplace.laplace_spread(result, _tensor(y), op, as_prior(prior), weight, probes, seed)


def _tensor(thing: _Kept | np.ndarray) -> _Kept | Tensor:
    """An array as a tensor; anything else as it is. Raises TypeError for an array of no numbers,
    and for one with a mask, which would be lost."""
    if not isinstance(thing, np.ndarray):
        return thing
    if isinstance(thing, np.ma.MaskedArray):
        raise TypeError("an array with a mask of its own is not read; take array.filled(...)")
    try:
        return torch.from_numpy(np.ascontiguousarray(thing, thing.dtype.newbyteorder("=")))
    except TypeError:
        raise TypeError(
            f"an array of numbers is needed, of a type that torch has too, got one of "
            f"{thing.dtype} {list(thing.shape)}; .astype(numpy.float32)?"
        ) from None
