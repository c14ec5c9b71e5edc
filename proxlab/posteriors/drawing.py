"""Samples that are asked for, checked, and then drawn batch by batch: `proxlab.posterior`'s work.

A sample begins at the plain first estimate, or at one that is brought, and goes through
`solvers.posterior`: at each level noise is added, the prior's prox taken for the mean of what may
lie behind, its Jacobian for the covariance, and an image drawn from that Gaussian given y.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from numbers import Integral

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

import solvers
from proxlab.operators.checks import check_operator
from proxlab.operators.estimates.noise_level import estimate_noise
from proxlab.operators.foreign import as_operator
from proxlab.operators.noise import measurement_weights
from proxlab.posteriors.linearised import Linearised
from proxlab.posteriors.measured import ACCURACY, EARLY, DrawNoise, observed
from proxlab.posteriors.samples import Posterior
from proxlab.priors.contract import Prior
from proxlab.restoration.data_terms import checked_start, counted, data_term, start
from proxlab.sample_noise import SampleNoise

HIGH, LOW = 0.65, 0.1
"""First and last level of a number of them, over the largest that the prior knows: learned priors
are trained for the noise of their images. Chosen on held-out photographs and slices."""
MOST = 75 / 255
"""Largest level that counts, that of the shipped priors for photographs."""
LAST = 3
"""Levels at the end whose draws are accurate."""
COUNT = 1_000_000
"""Largest number of samples and of levels, more than anybody waits for."""
PIXELS_AT_ONCE, PIXELS_ON_GPU = 2**18, 2**23
"""Pixels of a batch of samples, of which `lpn-gray` keeps 0.8 kB each."""


@dataclass(frozen=True)
class Wanted:
    """Samples as they are asked for.

    Raises ValueError for n, steps or batch below 1, and for a seed that is none.

    >>> from proxlab.posteriors.drawing import Wanted
    >>> Wanted(n=0)
    Traceback (most recent call last):
        ...
    ValueError: n is a whole number from 1 to 1000000, got 0
    """

    n: int = 16
    steps: int | Iterable[float] = 10
    """Number of levels, or the levels, image units."""
    noise: float | Tensor | str | None = None
    """Noise of the measurement, as `proxlab.restore` takes it."""
    seed: int = 0
    batch: int | None = None
    """Samples at once; as many as fit into some memory if None."""

    def __post_init__(self):
        for what, number in (("n", self.n), ("batch", self.batch), ("steps", self.steps)):
            if number is not None and not isinstance(number, Iterable) and not _counts(number):
                raise ValueError(f"{what} is a whole number from 1 to {COUNT}, got {number!r}")
        if isinstance(self.noise, str) and self.noise != "auto":
            raise ValueError(f'noise is a number, a tensor or "auto", got {self.noise!r}')
        SampleNoise(self.seed, range(1))  # refuses what is no seed

    def levels(self, prior: Prior) -> tuple[float, ...]:
        """Noise levels from the first to the last; ValueError for some that the prior lacks."""
        least, most = prior.sigma_range
        if not isinstance(self.steps, Iterable):
            high, low = (max(share * min(most, MOST), least) for share in (HIGH, LOW))
            ratio = (low / high) ** (1 / max(self.steps - 1, 1))
            return (*(high * ratio**k for k in range(self.steps - 1)), low)
        levels = tuple(float(sigma) for sigma in self.steps)
        outside = [sigma for sigma in levels if not least <= sigma <= most]
        if outside or not levels:
            raise ValueError(
                f"steps are levels that {prior.name} knows, {least:.3g} to {most:.3g}, got "
                f"{', '.join(f'{sigma:.3g}' for sigma in outside) or 'none'}"
            )
        return levels


def prepared(
    y: Tensor, op: LinearPhysics, prior: Prior, wanted: Wanted, init: Tensor | None = None
) -> "Drawing":
    """The samples that are wanted, checked, none drawn yet; they begin at `init` if there is one.

    Raises ValueError or TypeError for y, op, noise and init as `proxlab.restore` does, for levels
    that the prior does not know or that do not fall, and for a prior whose prox is no mean.

    >>> from proxlab.posteriors.drawing import Wanted, prepared
    >>> op = proxlab.operators.inpaint(torch.ones(8, 8), noise=0.05)
    >>> y, prior = op(torch.full((1, 1, 8, 8), 0.5)), proxlab.load("lpn-gray-small")
    >>> drawing = prepared(y, op, prior, Wanted(n=5, steps=2, batch=3))
    >>> list(drawing.starts), drawing.part(3).samples.shape
    ([0, 3], torch.Size([2, 1, 1, 8, 8]))
    """
    Linearised(prior)  # refuses a prox that is no mean
    levels, noise = wanted.levels(prior), wanted.noise
    if isinstance(noise, str):
        noise = estimate_noise(y, op)
    data_term(y, op, noise=noise, assumed=None)  # refuses what `restore` refuses
    with torch.no_grad():
        numbers, y = counted(y, op, noise), as_operator(op).usable(y.detach())
        first = start(y, op)
        y = y if numbers is None else numbers.in_image_units(y)
        check = check_operator(op, y, first)
        first = first if init is None else checked_start(init, first)
    if check.adjoint_wrong:
        raise ValueError(check.adjoint_wrong)
    pixels = PIXELS_AT_ONCE if y.device.type == "cpu" else PIXELS_ON_GPU
    batch = wanted.batch or max(1, pixels // first.numel())
    wanted = replace(wanted, noise=noise, batch=batch)
    level = measurement_weights(y, op, noise).image.rsqrt()
    return Drawing(y, op, prior, wanted, first, levels, check.doubts, level)


@dataclass(frozen=True)
class Drawing:
    """Samples that `prepared` has checked; any process may draw any batch.

    >>> from proxlab.posteriors.drawing import Wanted, prepared
    >>> op = proxlab.operators.inpaint(torch.ones(8, 8), noise=0.05)
    >>> y, prior = op(torch.full((1, 1, 8, 8), 0.5)), proxlab.load("lpn-gray-small")
    >>> prepared(y, op, prior, Wanted(n=5, steps=2, batch=3)).shape(3)
    (2, 1, 1, 8, 8)
    """

    y: Tensor
    """[B, ...], what says nothing of the images zero."""
    op: LinearPhysics
    prior: Prior
    wanted: Wanted
    first: Tensor
    """First estimate, at which every sample begins, [B, C, H, W]."""
    levels: tuple[float, ...]
    doubts: tuple[str, ...]
    """Sentences on the operator."""
    level: Tensor
    """Standard deviation of each measurement, [B], as it was told or estimated."""

    @property
    def starts(self) -> range:
        """Number of the first sample of each batch."""
        return range(0, self.wanted.n, self.wanted.batch or 1)

    def shape(self, first: int) -> tuple[int, ...]:
        """Shape of the batch that begins with the sample `first`, (samples, B, C, H, W)."""
        return min(self.starts.step, self.wanted.n - first), *self.first.shape

    @torch.no_grad()
    def part(self, first: int, stepped: Callable[[], object] = lambda: None) -> Posterior[Tensor]:
        """The batch that begins with the sample `first`; `stepped` is called after each level."""
        shape, prior, noise = self.shape(first), Linearised(self.prior), self.wanted.noise
        assert not isinstance(noise, str)  # `prepared` has estimated it
        x = self.first.repeat(shape[0], 1, 1, 1)
        fresh = DrawNoise(self.wanted.seed, range(first, first + shape[0]))
        parts = ((self.levels[:-LAST], EARLY), (self.levels[-LAST:], ACCURACY))
        short = 0
        for levels, accuracy in parts if self.levels[:-LAST] else parts[1:]:
            by = observed(self.y, self.op, noise, shape[0], accuracy)
            states = solvers.posterior(
                prior.prox, by, x, levels, covariance=prior.covariance, noise=fresh
            )
            for state in states:
                x = state.x
                stepped()
            short += by.stopped_short
        return Posterior(
            x.view(shape),
            self.levels,
            prior.evaluations,
            prior.products,
            (*self.doubts, *_doubts(prior, short, x)),
            self.level,
        )


def _doubts(prior: Linearised, short: int, x: Tensor) -> list[str]:
    said = []
    if not x.isfinite().all():
        said.append(f"some samples hold NaN or infinity, which came of {prior.prior.name}")
    if not prior.symmetric:
        said.append(
            f"the Jacobian of {prior.prior.name} is not symmetric by construction, as a covariance "
            "is, and the nearest symmetric matrix was taken; that of an lpn-* is"
        )
    if short:
        said.append(f"conjugate gradients did not reach their accuracy in {short} of the draws")
    return said


def _counts(number: object) -> bool:
    if not isinstance(number, Integral) or isinstance(number, bool):
        return False
    return 1 <= int(number) <= COUNT
