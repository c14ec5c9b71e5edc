"""Gain and read noise of a detector, read off one image that it took: the photon transfer curve.

    gain, read_noise = estimate_gain(y, op)      # y ~ gain Poisson(A x / gain) + read noise

Light comes in photons, so the variance of a pixel is a straight line over its mean: its slope is
the gain, its start the variance of the read noise [Janesick07]. Variances are read off quiet places
of one brightness after the other, in parts by how loud the image is around them. The variances are
a start, a slope times the mean, and, since what is left of texture grows with loudness, another
times the loudness that is not of noise: none below zero, by least squares with the weights that
they imply themselves. Parts far above have texture of another kind and are left out [Foi08].
"""

from typing import NamedTuple

import numpy as np
import torch
from deepinv.physics import LinearPhysics
from scipy.optimize import nnls
from torch import Tensor

from proxlab.operators.estimates.quiet_places import (
    IMAGES,
    Places,
    ends,
    neighbourly,
    places,
    robust_variance,
    smoothed,
)
from proxlab.operators.inpainting import fill_missing
from proxlab.operators.tomography.operator import Tomography
from solvers.protocols import PerImage, doubles

BINS = 24
"""Brightnesses that are looked at, evenly between the darkest and the brightest of an image."""
QUIET, PARTS = 0.3, 3
"""Share of a brightness's places that is looked at, the quietest, and parts of them by loudness."""
FEWEST = 40
"""Places that a part has at least; what has fewer is left out."""
CLIPPED = 0.01
"""Share of a brightness's pixels that may be clipped: the others would be a selection."""
LEAST = 8
"""Parts through which a line is laid."""
ROUNDS = 20
SCATTER = 6.0
"""Standard error of a variance from n neighbouring places, over the variance, times sqrt(n): 2.3 of
the median of independent ones, times 2.6 since fourth differences of neighbours go together."""
FAR = 3.0
"""Standard errors above the line from which on a part is left out."""
SURE = 3.0
"""Standard errors by which the slope is above zero at least."""
WIDE = 3.3
"""Range of the brightnesses, over the noise, below which it may itself be of noise."""
REMEDY = "calibrate the camera, or take estimate_noise for one level of noise"


class PhotonTransfer(NamedTuple):
    """The line read_noise^2 + gain * mean, which is the variance of a pixel.

    >>> curve = proxlab.operators.PhotonTransfer(torch.tensor([0.01]), torch.tensor([0.02]))
    >>> (curve.read_noise**2 + curve.gain * 0.5).sqrt()   # noise of a pixel of 0.5
    tensor([0.0735])
    """

    gain: PerImage
    """Value of y that one photon, or electron, adds; float64 [B], positive."""
    read_noise: PerImage
    """Standard deviation where no light falls, in the units of y; float64 [B], 0.0 where the line
    begins below zero: too little for its errors."""


def estimate_gain(y: Tensor, op: LinearPhysics) -> PhotonTransfer:
    """Gain and read noise of y = gain * Poisson(op.A(x) / gain) + read noise, from y alone.

    y: [B, C, H, W], an image as it is, blurred, subsampled or with missing pixels, whose zero is no
    light: subtract a camera's black level first, and undo no gamma but the file's own. Each image
    by itself, over all its channels. Rounding counts as read noise; pixels that are missing or
    clipped are not looked at, nor is a brightness of which some are clipped.
    Raises ValueError where nothing can be told: too few brightnesses, noise that does not grow with
    them, NaN or infinity, sinograms (logarithms of counts) and other measurements that are no
    images. [Foi08] [Janesick07]

    >>> from skimage.data import camera
    >>> x = torch.from_numpy(camera() / 255)[None, None]
    >>> rng = torch.Generator().manual_seed(0)
    >>> y = 0.01 * torch.poisson(x / 0.01, rng)   # 100 photons where it is white
    >>> op = proxlab.operators.inpaint(torch.ones(512, 512))   # every pixel is seen
    >>> y = y + 0.02 * torch.randn(y.shape, generator=rng, dtype=y.dtype)
    >>> curve = proxlab.estimate_gain(y, op)
    >>> curve.gain, curve.read_noise
    (tensor([0.0...], dtype=torch.float64), tensor([0.0...], dtype=torch.float64))
    """
    y, seen = neighbourly("gain", y, op)
    if isinstance(op, Tomography):
        raise ValueError(
            "gain is estimated from light, and a sinogram is the logarithm of counts; make the "
            "operator with noise=PhotonCounts(photons, attenuation)"
        )
    lines = [_line(_curve(*one)) for one in zip(y.split(1), seen.split(1), strict=True)]
    return PhotonTransfer(*(torch.stack(part) for part in zip(*lines, strict=True)))


def _curve(y: Tensor, seen: Tensor) -> Tensor:
    """Parts of one image [1, C, H, W]: mean, loudness over that of noise, variance, number; [n, 4].

    Loudness is in units of a variance: what white noise alone of that variance would have.
    """
    fill, y = doubles(fill_missing(y, seen.to(y))), doubles(y)
    seen = seen.to(y.device)
    found, smooth, clipped = (
        places(y, fill, seen, IMAGES),
        smoothed(fill, True)[seen],
        ends(y, seen),
    )
    points = [y.new_zeros(0, 4)]
    if len(found.mean):
        edges = torch.linspace(found.mean.min().item(), found.mean.max().item(), BINS + 1)[1:-1]
        of_place, of_pixel = (torch.bucketize(m, edges.to(m)) for m in (found.mean, smooth))
        for k in range(BINS):
            if clipped[seen][of_pixel == k].double().mean() < CLIPPED:
                points += _parts(found, of_place == k)
    return torch.cat(points)


def _parts(found: Places, within: Tensor) -> list[Tensor]:
    """Points of the quiet places of one brightness, [1, 4] each."""
    size = int(QUIET * within.sum()) // PARTS
    if size < FEWEST:
        return []
    loud = found.loud[within] / found.of_noise
    order = loud.argsort()[: PARTS * size]
    parts = zip(
        *(
            q.split(size)
            for q in (found.mean[within][order], loud[order], found.detail[within][order])
        ),
        strict=True,
    )
    count = loud.new_tensor(float(size))
    return [torch.stack([m.mean(), a.mean(), robust_variance(d), count])[None] for m, a, d in parts]


def _line(curve: Tensor) -> tuple[Tensor, Tensor]:
    """Slope of variance over mean through the points of a curve, and the root of its start."""
    mean, loud, variance, count = curve.unbind(1)
    far, model, noise = torch.zeros_like(mean, dtype=torch.bool), variance, variance
    found = errors = np.zeros(3)
    for _ in range(ROUNDS):
        if (~far).sum() < LEAST:
            raise ValueError(
                f"the gain of y cannot be estimated from {int((~far).sum())} parts of quiet "
                f"places, neither missing nor clipped; {REMEDY}"
            )
        each = SCATTER * model.clamp(min=0.05 * variance.median()) / count.sqrt()
        terms = torch.stack([torch.ones_like(mean), mean, (loud - noise).clamp(min=0)], 1)
        found, errors = _least_squares(terms[~far], variance[~far], each[~far])
        model, noise = terms @ mean.new_tensor(found), terms[:, :2] @ mean.new_tensor(found[:2])
        far = variance - model > FAR * each
    kept, level = mean[~far], noise[~far].median().sqrt()
    if kept.max() - kept.min() < WIDE * level or not found[1] > SURE * errors[1]:
        raise ValueError(
            f"the noise of y, about {level:.2g}, does not grow with brightness so that it could be "
            f"seen, from {kept.min():.2g} to {kept.max():.2g}; {REMEDY}"
        )
    return mean.new_tensor(found[1]), mean.new_tensor(found[0]).sqrt()


def _least_squares(terms: Tensor, v: Tensor, error: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Factors, none below 0, by which terms [n, 3] sum up to v [n], and their standard errors."""
    scale = terms.abs().amax(0).clamp(min=1e-300)
    A, b = (terms / scale / error[:, None]).numpy(), (v / error).numpy()
    factors, _ = nnls(A, b)
    used = factors > 0
    errors = np.full(3, np.inf)
    errors[used] = np.diag(np.linalg.pinv(A[:, used].T @ A[:, used])) ** 0.5
    return factors / scale.numpy(), errors / scale.numpy()
