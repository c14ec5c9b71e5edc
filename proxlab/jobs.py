"""Jobs as scripts ask for them: what people bring is made what the rooms take, then handed on."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar, cast

import numpy as np
from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab import restoration
from proxlab.arrays import Given
from proxlab.images.layouts import Kind, as_images, as_tensor
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
from solvers.progress import Follower, progress_bar

_Kept = TypeVar("_Kept")
CHECKS = Checks()
"""All of them."""


def restore(
    y: Kind,
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
    progress: bool | Callable[[int, Kind, Kind], object] = False,
) -> Restoration[Kind]:
    """Estimate the images behind y = op(x) + noise.

    y: measurement [B, ...], a tensor or an array; an array may also be one image, [H, W] or [H, W,
    3], and `image` of the result is an array of the same layout and type. An array of uint8 is
    taken as y / 255, in whose units noise is told; one of float64 is computed in the precision of a
    network's weights. op: an operator of `proxlab.operators` or any LinearPhysics of deepinv;
    prior: a name, a prior, a denoiser of deepinv, or an nn.Module called as net(v, sigma) or
    net(v); solver: "pgd", "fista", "admm", "drs", "hqs" or "pdhg", by default "pdhg" for tv and
    wavelets, "hqs" for other priors of a CT scan and "admm" for the rest; noise: standard deviation
    of the measurement in its own units, that of the operator if None, or "auto" for an estimate,
    which `premises.noise` of the result tells; weight: of the prior, its own default if None, 1
    against noise alone; sigma: noise level of the prior at the end, image units, by `default_sigma`
    of each image if None, or the operator's (`operators.contract.HasPriorLevel`) where `hqs`
    solves; pdhg asks for no prox, and there it changes nothing; steps: at most so many, those of
    the descent included, 400 if None and 3000 of pdhg; tol: relative residual at which an image
    stops, for pdhg the duality gap over the objective. noise, weight, sigma and tol are numbers, or
    one for each image. init:
    first estimate [B, C, H, W], or an array as y may be, from which the solver starts without a
    descent; checks: what the evidence rests on; progress: whether to draw a bar, or a function
    called after each step as progress(k, x, residual): the number of the step, the images as
    `image` has them, but floats, and the residual of each, [B]. It ends the run by returning True:
    the images are then as they are, and the evidence is of the run up to there.
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

    A photograph as scikit-image has it, a third of its pixels unknown:

    >>> from skimage.data import astronaut
    >>> photo = astronaut()[40:88, 190:246]   # uint8 [48, 56, 3]
    >>> op = proxlab.operators.inpaint(np.indices((48, 56)).sum(0) % 3 > 0, noise=0.02)
    >>> proxlab.restore(photo, op, "tv").image.shape
    (48, 56, 3)
    """
    if not isinstance(checks, Checks):
        raise TypeError(f"checks is a proxlab.Checks(...), got {type(checks).__name__}")
    told = Settings(
        solver, _tensor(sigma), steps, _tensor(tol), _tensor(weight), _tensor(noise), checks
    )
    given = Given.of(y, op, told.noise) if isinstance(y, np.ndarray) else None
    made = as_prior(prior)
    result = restoration.restore(
        cast(Tensor, y) if given is None else given.as_weights(made),
        op,
        made,
        told,
        init=None if init is None else as_images(init),
        progress=cast(bool | Follower, progress if given is None else given.told(progress)),
        fit=fitted,
    )
    image = result.image if given is None else given.image(result.pixels)
    return cast(Restoration[Kind], replace(result, image=image))


def fitted(prior: KnownPrior, images: Tensor) -> Fitted:
    """The prior in tiles where images of that size, [B, C, H, W], would take it much memory."""
    made = within_memory(cast(Prior, prior), images.shape, images.device)
    return Fitted(made, apart=isinstance(made, TiledPrior))


def posterior(
    y: Kind,
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
) -> Posterior[Kind]:
    """Draw n of the images that may lie behind y = op(x) + noise: what is sure, and what is not.

    y: measurement [B, ...], or an array as `restore` takes it, of which samples are arrays of
    floats in the same layout; op: as for `restore`; prior: one whose prox is taken for the mean of
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
    wanted, made = Wanted(n, steps, _tensor(noise), seed, batch), as_prior(prior)
    given = Given.of(y, op, wanted.noise) if isinstance(y, np.ndarray) else None
    measured = cast(Tensor, y) if given is None else given.as_weights(made)
    first = None if init is None else as_images(init)
    drawing = prepared(measured, op, made, wanted, first)
    count = len(drawing.starts) * len(drawing.levels)
    with progress_bar(progress, count, label=f"posterior, {made.name}") as bar:
        post = joined([drawing.part(first, bar.update) for first in drawing.starts])
    samples = post.samples if given is None else given.floats(post.samples)
    return cast(Posterior[Kind], replace(post, samples=samples))


def laplace_spread(
    result: Restoration,
    y: Kind,
    op: LinearPhysics,
    prior: object,
    weight: float | None = None,
    probes: int = PROBES,
    seed: int = 0,
) -> Kind:
    """Deviation of each pixel of a restored image, [B, C, H, W], by the Laplace approximation.

    That is the Gaussian around the minimiser that has the curvature of the objective there. Of a
    learned prior it is far too sure: with `lpn-gray` its 80 % intervals held 3 in 10 pixels of
    blurred held-out photographs, where those of `posterior` held 8. It is exact for quadratics.
    result: what `restore` made of y, op and prior with that weight, the prior's own if None;
    probes: linear systems to solve, at least 2, each of some tens of products with the Jacobian of
    the prox; seed: of their signs. For an array y it is an array of floats in y's layout.
    Raises ValueError as `restore`, and for tv and wavelets, whose prox has no curvature.

    >>> op = proxlab.operators.inpaint(proxlab.operators.random_mask((16, 16), 0.5), noise=0.05)
    >>> y = op(torch.full((1, 1, 16, 16), 0.5))
    >>> result = proxlab.restore(y, op, "lpn-gray-small")
    >>> proxlab.laplace_spread(result, y, op, "lpn-gray-small", probes=8).shape
    torch.Size([1, 1, 16, 16])
    """
    noise, made = result.premises.noise, as_prior(prior)
    given = Given.of(y, op, noise) if isinstance(y, np.ndarray) else None
    measured = cast(Tensor, y) if given is None else given.as_weights(made)
    found = laplace.laplace_spread(result, measured, op, made, weight, probes, seed)
    return cast(Kind, found if given is None else given.floats(found))


def _tensor(thing: _Kept | np.ndarray) -> _Kept | Tensor:
    """An array as a tensor; anything else as it is. Raises TypeError as `layouts.as_tensor`."""
    return as_tensor(thing) if isinstance(thing, np.ndarray) else thing
