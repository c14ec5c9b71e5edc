"""Gain and read noise of a detector, read off one image that it took: the photon transfer curve.

    gain, read_noise = estimate_gain(y, op)      # y ~ gain Poisson(A x / gain) + read noise

Light comes in photons, so the variance of a pixel is a straight line over its mean: its slope is
the gain, its start the variance of the read noise [Janesick07]. Variances are read off quiet places
of one brightness after the other. The line is the one of least squares with the weights that it
implies itself; brightnesses far above it have no quiet places and are left out [Foi08].
"""

from typing import NamedTuple

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab.operators.inpainting import fill_missing
from proxlab.operators.quiet_places import (
    IMAGES,
    MEDIAN,
    Places,
    ends,
    neighbourly,
    places,
    smoothed,
)
from proxlab.operators.tomography.operator import Tomography
from solvers.protocols import PerImage, doubles

BINS = 32
"""Brightnesses that are looked at, evenly between the darkest and the brightest of an image."""
QUIET, FEWEST = 0.25, 40
"""Share of a brightness's places that is looked at, the quietest, and how many at least; a
brightness with fewer places is left out."""
CLIPPED = 0.01
"""Share of a brightness's pixels that may be clipped: the others would be a selection."""
LEAST = 5
"""Brightnesses through which a line is laid."""
ROUNDS = 30
SCATTER = 6.0
"""Standard error of a variance from n neighbouring places, over the variance, times sqrt(n): 2.3 of
the median of independent ones, times 2.6 since fourth differences of neighbours go together."""
FAR = 3.0
"""Standard errors above the line from which on a brightness is left out."""
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
    """Mean, variance and number of places of each brightness of one image [1, C, H, W], [n, 3]."""
    fill, y = doubles(fill_missing(y, seen.to(y))), doubles(y)
    seen = seen.to(y.device)
    found, smooth, clipped = (
        places(y, fill, seen, IMAGES),
        smoothed(fill, True)[seen],
        ends(y, seen),
    )
    points = y.new_zeros(0, 3)
    if len(found.mean):
        edges = torch.linspace(found.mean.min().item(), found.mean.max().item(), BINS + 1)[1:-1]
        of_place, of_pixel = (torch.bucketize(m, edges.to(m)) for m in (found.mean, smooth))
        few = [clipped[seen][of_pixel == k].double().mean() < CLIPPED for k in range(BINS)]
        bins = (Places(*(part[of_place == k] for part in found)) for k in range(BINS))
        points = [_point(bin) for bin, fine in zip(bins, few, strict=True) if fine]
        points = torch.stack([*points, y.new_zeros(3)])
    return points[points[:, 2] >= FEWEST]


def _point(bin: Places) -> Tensor:
    """Mean, variance and number of the quiet places of one brightness, [3]."""
    chosen = bin.loud.argsort()[: max(FEWEST, int(QUIET * len(bin.loud)))]
    variance = (bin.detail[chosen].abs().median() / MEDIAN) ** 2
    return torch.stack([bin.mean[chosen].mean(), variance, variance.new_tensor(len(chosen))])


def _line(curve: Tensor) -> tuple[Tensor, Tensor]:
    """Slope of the line through the points of a curve [n, 3], and the root of its start."""
    mean, variance, count = curve.unbind(1)
    far = torch.zeros_like(mean, dtype=torch.bool)
    model, gain, start, error = variance, mean.new_tensor(0.0), mean.new_tensor(0.0), 0.0
    for _ in range(ROUNDS):
        if (~far).sum() < LEAST:
            raise ValueError(
                f"the gain of y cannot be estimated from {int((~far).sum())} brightnesses that "
                f"have quiet places, neither missing nor clipped; {REMEDY}"
            )
        each = SCATTER * model.clamp(min=0.05 * variance.median()) / count.sqrt()
        gain, start, error = _least_squares(mean[~far], variance[~far], each[~far])
        model = start + gain * mean
        far = variance - model > FAR * each
    kept, level = mean[~far], variance[~far].median().sqrt()
    if kept.max() - kept.min() < WIDE * level or gain < SURE * error:
        raise ValueError(
            f"the noise of y, about {level:.2g}, does not grow with brightness so that it could be "
            f"seen, from {kept.min():.2g} to {kept.max():.2g}; {REMEDY}"
        )
    return gain, start.sqrt()


def _least_squares(x: Tensor, v: Tensor, error: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Slope and start, at least 0, of the line through v at x, and the slope's standard error."""
    w = error**-2
    middle = (w * x).sum() / w.sum()
    spread = (w * (x - middle) ** 2).sum()
    gain = (w * (x - middle) * v).sum() / spread
    start = (w * v).sum() / w.sum() - gain * middle
    if start < 0:
        start, spread = torch.zeros_like(start), (w * x**2).sum()
        gain = (w * x * v).sum() / spread
    return gain, start, spread.rsqrt()
