"""A measurement as `solvers.posterior` takes it: one y, and many draws of its images at once."""

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

import solvers
from proxlab.operators.noise import measurement_weights
from proxlab.sample_noise import SampleNoise
from solvers.protocols import per_image

ACCURACY, EARLY = 0.5, 1.0
"""Error of the last draws, and of those before them, in posterior deviations, for each measured
entry, at most. The noise of later levels drowns early errors."""
DATA = 2**32
"""Number of the first call of the noise of measurements; those of images are fewer."""


def observed(
    y: Tensor,
    op: LinearPhysics,
    noise: float | Tensor | None,
    samples: int,
    accuracy: float = ACCURACY,
) -> solvers.LinearObservation:
    """The observation of images [samples * B, C, H, W], sample by sample, from y [B, ...].

    noise: as of `measurement_weights`, whose errors it raises; accuracy: see `ACCURACY`.

    >>> from proxlab.posteriors.measured import observed
    >>> op = proxlab.operators.inpaint(torch.ones(4, 4), noise=0.1)
    >>> observed(torch.ones(2, 1, 4, 4), op, None, samples=3).y.shape
    torch.Size([6, 1, 4, 4])
    """
    weights = measurement_weights(y, op, noise)
    variance = per_image(1 / weights.image, y).to(y)
    if weights.entry is not None:
        variance = variance / weights.entry.to(y)
    count, repeats = len(y), (samples, *[1] * (y.ndim - 1))

    def each(linear):
        # an operator may have parameters for each of its B images
        return lambda x: torch.cat([linear(part) for part in x.split(count)])

    forward, adjoint = (op.A, op.A_adjoint) if count == 1 else (each(op.A), each(op.A_adjoint))
    return solvers.LinearObservation(
        forward, adjoint, y.repeat(repeats), variance.repeat(repeats), tol=accuracy
    )


class DrawNoise:
    """Noise of samples `indices`, of images and of measurements: x [samples * B, ...] -> like x.

    Sample i of every image has the numbers of (seed, i), so that neither the number of samples nor
    that of images changes an image's samples. Raises as `SampleNoise`.

    >>> from proxlab.posteriors.measured import DrawNoise
    >>> like = torch.zeros(3, 1, 2, 2)
    >>> torch.equal(DrawNoise(0, range(3))(like)[1:], DrawNoise(0, range(1, 3))(like[1:]))
    True
    """

    def __init__(self, seed: int, indices: range):
        self.seed, self.indices = seed, indices
        self._sources = {}

    def __call__(self, like: Tensor) -> Tensor:
        """Fresh noise like x."""
        images = len(like) // len(self.indices)
        shape = tuple(like.shape[1:])
        if shape not in self._sources:  # each shape with calls of its own
            self._sources[shape] = SampleNoise(
                self.seed, self.indices, calls=DATA * len(self._sources)
            )
        one = like.unflatten(0, (len(self.indices), images))[:, 0]
        return self._sources[shape](one).repeat_interleave(images, 0)
