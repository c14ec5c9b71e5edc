"""The width of a Gaussian blur, read off the spectrum of the blurred image.

    width, sd = blur_width(y)         # [B] each, pixels
    op = operators.deblur(operators.gaussian_kernel(width.item()), noise)

Photographs have spectra that fall as a power of the frequency. The power of a blurred and noisy one
is then, at frequency f in cycles a pixel,

    S(f) = a |f|^-b T(f) + noise^2,    T = |Fourier transform of the Gaussian kernel|^2,

and each periodogram ordinate P(f) is S(f) times an exponential number of mean 1. The most likely
width, a and b make sum log S + P / S least [Whittle53]. The width is not estimated with the image
together: the objective of `restore` has no minimum near the true width, it falls down to 0.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from deepinv.physics import Denoising
from torch import Tensor

from proxlab.operators.arguments import check_finite, check_image, positive
from proxlab.operators.estimates.noise_level import estimate_noise
from solvers.protocols import PerImage, float_for_sums

BLOCK = 128
"""Side of the blocks whose periodograms are averaged, at most."""
LEAST_SIDE = 32
"""Pixels of the shorter side without which nothing is told."""
LOWEST = 0.02
"""Cycles a pixel below which nothing is looked at: there an image has no power law yet."""
WIDTHS = tuple(0.3 * 1.5**n for n in range(9))
"""Widths that are tried first, pixels; the best is refined."""
START = 0.15
"""Cycles a pixel below which the power law is guessed first."""
FINEST = 0.2
"""Part of the frequencies, as a logarithm from the highest down, where a floor is looked for."""
SURE = 0.25
"""Deviation of the width, over the width, from which on it is not told."""
MISSTATED, COLLAPSED = 1.5, 1.05
"""Factor by which the noise told may miss the floor of the spectrum, and where no blur was found:
noise that is told too low is taken for a sharp image."""


class BlurWidth(NamedTuple):
    """Width of a Gaussian blur, and how sure it is.

    >>> op = proxlab.operators.deblur(proxlab.operators.gaussian_kernel(1.5), noise=0.01)
    >>> found = proxlab.blur_width(op(torch.rand(1, 1, 64, 64)), noise=0.01)
    >>> (found.width - 1.5).abs() < 0.2, found.sd < 0.1
    (tensor([True]), tensor([True]))
    """

    width: PerImage
    """Standard deviation of the Gaussian, pixels, [B]."""
    sd: PerImage
    """Standard deviation of the estimate over images that have such a spectrum, [B]. That an image
    has not quite a power law is not in it: on photographs the error is several times as large."""


def blur_width(y: Tensor, noise: float | PerImage | None = None) -> BlurWidth:
    """Width of the Gaussian that blurred y, in pixels, float64 [B], and its standard deviation.

    y: blurred images [B, C, H, W], of which the mean of the channels is looked at; noise: standard
    deviation of y in its own units, a number or one for each image, by `estimate_noise` if None.
    On held-out photographs, noise .01, the error was 4 to 9 % on average, on crops of 160 x 160 of
    Set12 17 %. The deviation `sd` is that of noise and chance alone, for images whose spectrum is a
    power law.
    Raises TypeError or ValueError for what are no images of at least 32 x 32 pixels, for a noise
    that is not positive or is not that of y by more than a factor of 1.5, and where no width can be
    told: no blur above 0.3 pixels, an image without contrast, noise that hides it. [Whittle53]

    >>> x = torch.rand(1, 1, 96, 96)
    >>> op = proxlab.operators.deblur(proxlab.operators.gaussian_kernel(2.0), noise=0.01)
    >>> width, sd = proxlab.blur_width(op(x))
    >>> (width - 2).abs() < 0.3, sd < 0.2
    (tensor([True]), tensor([True]))
    """
    y = check_finite(check_image(y)).detach()
    if min(y.shape[2:]) < LEAST_SIDE:
        raise ValueError(
            f"a blur is told from at least {LEAST_SIDE} x {LEAST_SIDE} pixels, got "
            f"{y.shape[2]} x {y.shape[3]}; give its width"
        )
    planes = y.cpu().double().mean(1)
    if noise is None:
        told = estimate_noise(planes[:, None], Denoising())
        levels = told
    else:
        told = positive("noise", noise, y).cpu().double()
        levels = told / math.sqrt(y.shape[1])
    each = zip(planes, levels.tolist(), told.tolist(), strict=True)
    found = [_one(plane, level, one) for plane, level, one in each]
    width, sd = torch.tensor(found, dtype=float_for_sums(y), device=y.device).T
    return BlurWidth(width, sd)


class _Spectrum(NamedTuple):
    """Periodogram of an image on a quarter of the frequencies, of which F are looked at."""

    power: Tensor
    """P, flat [F]."""
    log_f: Tensor
    """Logarithm of the frequency in cycles a pixel, [F]."""
    count: Tensor
    """Independent ordinates that each stands for, [F]."""
    axes: tuple[Tensor, Tensor]
    """Frequencies down and right, [H // 2 + 1] and [W // 2 + 1]."""
    seen: Tensor
    """Which are looked at, bool [H // 2 + 1, W // 2 + 1]."""

    def likelihood(self, s: Tensor) -> float:
        """Sum of log S + P / S, twice what is lost in log likelihood."""
        return float((self.count * (s.log() + self.power / s)).sum())

    def log_t(self, width: float) -> Tensor:
        """log T [F], of a Gaussian sampled at the pixels, as `gaussian_kernel` is."""
        turns = torch.arange(-2.0, 3.0, dtype=torch.float64)
        down, right = (
            torch.logsumexp(-2 * (math.pi * width * (f[:, None] + turns)) ** 2, 1)
            for f in self.axes
        )
        return 2 * (down[:, None] - down[0] + right - right[0])[self.seen]


class _Model(NamedTuple):
    """S(f) = exp(scale) |f|^-slope T + exp(floor)."""

    width: float
    scale: float
    slope: float
    floor: float

    def of(self, at: _Spectrum) -> tuple[Tensor, Tensor]:
        """S, and the derivatives of log S by width, scale, slope and floor, [4, F]."""
        rise = 1e-4 * self.width
        log_t = at.log_t(self.width)
        by_width = (at.log_t(self.width + rise) - log_t) / rise
        signal = (self.scale - self.slope * at.log_f + log_t).exp()
        noise = math.exp(self.floor)
        s = signal + noise
        share = signal / s
        return s, torch.stack([share * by_width, share, -share * at.log_f, noise / s])


def _one(plane: Tensor, noise: float, told: float) -> tuple[float, float]:
    """Width and deviation of one image [H, W]; `told` is what a message calls its noise."""
    if plane.min() == plane.max():
        raise ValueError("y has one value everywhere, which tells no blur; is it the right file?")
    at = _spectrum(plane)
    widths = [w for w in WIDTHS if w < min(plane.shape) / 8]
    best = _fitted(at, noise**2, widths, (0, 1, 2))
    _check_noise(at, best, told, widths)
    if best.width < WIDTHS[0]:
        raise ValueError(
            f"y shows no Gaussian blur wider than {WIDTHS[0]} pixels; give the width, or the PSF"
        )
    sd = _deviation(at, best, (0, 1, 2))
    if not sd < SURE * best.width or best.width > 2 * widths[-1]:
        raise ValueError(
            f"y does not tell how wide its blur is: about {best.width:.2g} pixels, give or take "
            f"{sd:.2g}; give the width"
        )
    return best.width, sd


def _spectrum(plane: Tensor) -> _Spectrum:
    """The mean periodogram of blocks of an image that overlap by half, tapered by a cosine bell.

    How many ordinates are independent, the squared taper says that all blocks together lay over the
    image: as many as an image has pixels, were it even.
    """
    sides = [min(n, BLOCK) for n in plane.shape]
    starts = [
        torch.linspace(0, n - side, 1 + math.ceil(2 * (n - side) / side)).round().int().tolist()
        for n, side in zip(plane.shape, sides, strict=True)
    ]
    bells = [torch.hann_window(n + 2, periodic=False, dtype=torch.float64)[1:-1] for n in sides]
    bell = bells[0][:, None] * bells[1]
    power, cover = torch.zeros((), dtype=torch.float64), torch.zeros_like(plane)
    for top in starts[0]:
        for left in starts[1]:
            place = slice(top, top + sides[0]), slice(left, left + sides[1])
            block = plane[place]
            block = bell * (block - (bell * block).sum() / bell.sum())
            power = power + torch.fft.rfft2(block).abs().square()
            cover[place] += bell.square()
    power = power / cover.sum()
    power = (power + power.roll(-1, 0).flip(0))[: sides[0] // 2 + 1] / 2  # up is as good as down
    axes = [torch.arange(n // 2 + 1, dtype=torch.float64) / n for n in sides]
    twins = [torch.where((f > 0) & (f < 0.5), 2.0, 1.0).double() for f in axes]
    independent = cover.sum().square() / cover.square().sum()
    count = twins[0][:, None] * twins[1] / 2 * independent / bell.numel()
    f = torch.hypot(axes[0][:, None], axes[1])
    seen = f >= max(LOWEST, 3 / min(sides))
    return _Spectrum(power[seen], f[seen].log(), count[seen], (axes[0], axes[1]), seen)


def _fitted(at: _Spectrum, floor: float, widths: Sequence[float], free: tuple[int, ...]) -> _Model:
    """The most likely model: the best of some widths, refined; `free` begins with the width."""
    low = at.log_f < math.log(START)
    scale = math.log(at.power[low].sum() / at.log_f[low].mul(-2).exp().sum())
    model, tried = _Model(widths[0], scale, 2.0, math.log(floor)), []
    for width in widths:
        model = _scored(at, model._replace(width=width), free[1:], steps=8)
        tried.append(model)
    best = min(tried, key=lambda m: at.likelihood(m.of(at)[0]))
    return _scored(at, best, free)


def _scored(at: _Spectrum, model: _Model, free: Sequence[int], steps: int = 30) -> _Model:
    """The most likely model near the one given, by Fisher scoring of its free parameters."""
    s, slopes = model.of(at)
    now = at.likelihood(s)
    for _ in range(steps):
        d = slopes[list(free)]
        information = (d * at.count) @ d.T
        score = d @ (at.count * (at.power / s - 1))
        ridge = 1e-9 * information.diagonal().max()
        step = torch.linalg.solve(information + ridge * torch.eye(len(free)), score)
        for halved in range(12):
            values = list(model)
            for k, change in zip(free, (step / 2**halved).tolist(), strict=True):
                values[k] += change
            ahead = _Model(*values)
            if ahead.width <= WIDTHS[0] / 3 or max(map(abs, values)) > 500:
                continue
            s_ahead, slopes_ahead = ahead.of(at)
            then = at.likelihood(s_ahead)
            if then <= now:
                break
        else:
            return model
        fell, model, s, slopes, now = now - then, ahead, s_ahead, slopes_ahead, then
        if fell < 1e-6:
            return model
    return model


def _deviation(at: _Spectrum, model: _Model, free: Sequence[int]) -> float:
    """Standard deviation of the first free parameter, by the Fisher information."""
    d = model.of(at)[1][list(free)]
    information = (d * at.count) @ d.T
    # in units of their own: else one of which nothing is known would count as known for certain
    size = information.diagonal().clamp(min=1e-200).sqrt()
    inverse = torch.linalg.pinv(information / (size[:, None] * size), hermitian=True)
    return math.sqrt(max(float(inverse[0, 0]), 0.0)) / float(size[0])


def _check_noise(at: _Spectrum, model: _Model, told: float, widths: Sequence[float]) -> None:
    """ValueError if the spectrum has another floor than the noise told, by too much."""
    high = at.log_f > at.log_f.max() - FINEST
    free = (0, 1, 2, 3)
    other = _fitted(at, float(at.power[high].mean()), widths[::2], free)
    off = (other.floor - model.floor) / 2
    sd = _deviation(at, other, (3, 0, 1, 2)) / 2
    most = MISSTATED if model.width >= WIDTHS[0] else COLLAPSED
    if abs(off) > max(math.log(most), 3 * sd):
        raise ValueError(
            f"the noise is not {told:.3g}, from which the width of a blur would be read wrongly: "
            f"the spectrum of y says {told * math.exp(off):.3g}; pass that, or none"
        )
