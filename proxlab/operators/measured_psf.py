"""A measured point-spread function made a kernel: cleaned, centred, cropped, and said how.

    found = operators.psf(picture_of_a_bead)      # [H, W], or a stack [N, H, W]
    op = operators.deblur(found.kernel, noise=0.01)
    print(found)                                  # what was done

A picture of a bead, a star or a pinhole stands on a background, is not in the middle, has an even
side, and its noise goes below zero: none of which a kernel may.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from proxlab.operators.arguments import real_tensor
from proxlab.operators.pixel_fit import shape_behind
from proxlab.operators.spots import Spot, check_saturation, equal_width, find_spot, outlined

LEAST_SIDE = 7
"""Pixels of the smallest picture: the spot, and around it background of two."""
NOISY = 0.05
"""Share of a kernel that was below zero, from which on it is called noisy."""
RINGING = 0.01
"""Light that a Fourier shift put below zero, over that above, from which on it is not taken."""


@dataclass(frozen=True)
class MeasuredPsf:
    """Kernel made of a measured point-spread function, and what was done for it.

    >>> found = proxlab.operators.psf(0.05 + torch.nn.functional.pad(
    ...     proxlab.operators.gaussian_kernel(1.0), (8, 5, 6, 5)))
    >>> print(found)
    PSF of 20 x 22 pixels: background 0.05 subtracted, moved by (-0.50, -1.50) pixels ...
    """

    kernel: Tensor
    """float64 [h, w], h and w odd, not negative, sums to 1, its centre of mass in the middle."""
    size: tuple[int, int]
    """Height and width of the picture."""
    backgrounds: tuple[float, ...]
    """Level that was subtracted, of each frame, in the units of the picture."""
    noise: float
    """Standard deviation of the pixels around the spot, the mean of the frames', in its units."""
    shifts: tuple[tuple[float, float], ...]
    """Pixels down and right by which each frame was moved, its middle being where an odd-sized
    picture has its middle pixel, and an even-sized one the corner between four."""
    width: float
    """Width of the Gaussian that is as compact, in pixels: of equal sum^2 / sum of squares."""
    negative: float
    """Light below zero, which was set to it, over that above."""
    specks: float
    """Light of specks away from the spot, which were left out, over that of the spot."""
    doubts: tuple[str, ...] = ()
    """Sentences on what may be wrong with the picture."""

    def __str__(self) -> str:
        """A sentence on what was done, and the doubts."""
        frames = len(self.shifts)
        of = "" if frames == 1 else f", mean of {frames} frames"
        down, right = np.mean(self.shifts, axis=0)
        each = "" if frames == 1 else " on average"
        h, w = self.kernel.shape
        said = (
            f"PSF of {self.size[0]} x {self.size[1]} pixels{of}: background "
            f"{np.mean(self.backgrounds):.3g}{each} subtracted, moved by ({down:+.2f}, "
            f"{right:+.2f}) pixels{each} to its centre of mass, cropped to {h} x {w}, "
        )
        if self.negative >= 5e-4:
            said += f"{100 * self.negative:.1f} % below zero set to 0, "
        if self.specks >= 5e-4:
            said += f"specks of {100 * self.specks:.1f} % of its light left out, "
        said += f"divided by its sum; as wide as a Gaussian of {self.width:.2f} pixels"
        return "; ".join([said, *self.doubts])


def psf(array: np.ndarray | Tensor) -> MeasuredPsf:
    """Kernel from a measured point-spread function [H, W], or from frames of it [N, H, W].

    The background is the median of the rim, refined by the mean of the rim's pixels near it. What
    is brighter than noise around the brightest spot, and two pixels more, is the support; the rest
    is left out. Its centre of mass is moved into the middle of an odd-sized kernel, by whole pixels
    and a Fourier shift of the fraction, which changes no frequency's size; frames are moved each by
    itself, then added, so that bright ones count more. What is then below zero is set to 0, and the
    sum divided by. A shape with edges too sharp for its pixels, a thin line say, would ring: where
    the shift put 1 % of the light below zero, the kernel is the mean over pixels of what, not
    negative and on cells of a third of a pixel, fits the frames where they are.
    Centring decides where the restored image lies, and nothing else: the kernel of a blur that is
    itself off centre moves the image by as much.

    array: pixels in any units, linear in light, one spot in each frame with background around it.
    Raises TypeError unless they are real numbers; ValueError for another shape, fewer than 7 x 7
    pixels, NaN, one value everywhere, no spot above the noise, a spot darker than its background or
    with more than four pixels at the largest value that a camera counts (255, 4095, 65535, ...), a
    spot that reaches the rim, several spots, frames of which one is 1.5 times as wide as another (a
    stack through focus).

    >>> kernel = proxlab.operators.gaussian_kernel(1.6)
    >>> found = proxlab.operators.psf(200 + 1000 * torch.nn.functional.pad(kernel, (4, 9, 6, 5)))
    >>> [n % 2 for n in found.kernel.shape], round(found.width, 2), round(found.backgrounds[0])
    ([1, 1], 1.6, 200)
    >>> [round(pixels, 2) for pixels in found.shifts[0]]
    [-0.5, 2.5]
    """
    frames = real_tensor("PSF", array).to(torch.float64).cpu().numpy()
    frames = _stack(frames)
    spots = []
    for n, frame in enumerate(frames, 1):
        name = "the PSF" if len(frames) == 1 else f"frame {n} of the PSF"
        check_saturation(name, frame)
        spots.append(find_spot(name, frame))
    _check_widths(spots)
    noise = float(np.sqrt(np.mean([s.noise**2 for s in spots]) / len(spots)))
    centres = [s.centre for s in spots]
    kernel, _ = _cropped(_mean(spots, centres), noise)
    # what is cut off moves the centre of the rest, by little
    off = np.subtract(ndimage.center_of_mass(kernel), [n // 2 for n in kernel.shape])
    centres = [c + off for c in centres]
    kernel, negative = _cropped(_mean(spots, centres), noise)
    _, of_noise = _cropped(_mean(spots, [np.round(c) for c in centres]), noise)
    if negative - of_noise > RINGING:
        kernel, negative = _fitted(spots, centres, kernel.shape, noise), of_noise
    size = frames.shape[1:]
    shifts = tuple((size[0] / 2 - 0.5 - c[0], size[1] / 2 - 0.5 - c[1]) for c in centres)
    return MeasuredPsf(
        torch.from_numpy(kernel / kernel.sum()),
        (size[0], size[1]),
        tuple(s.background for s in spots),
        noise,
        tuple((float(down), float(right)) for down, right in shifts),
        equal_width(kernel, 0.0),
        negative,
        float(np.sum([s.specks for s in spots]) / np.sum([s.light for s in spots])),
        _doubts(frames, negative),
    )


def _stack(frames: np.ndarray) -> np.ndarray:
    """The frames as [N, H, W]; ValueError for what is no picture of a spot at first sight."""
    shape = list(frames.shape)
    if frames.ndim == 3 and shape[2] in (3, 4) and shape[1] > 4:
        raise ValueError(f"a PSF has no colours, got shape {shape}; take one channel, [..., 1]")
    if frames.ndim not in (2, 3) or frames.size == 0:
        raise ValueError(
            f"a PSF is [H, W], or a stack of frames [N, H, W], not empty, got shape {shape}"
        )
    frames = frames if frames.ndim == 3 else frames[None]
    if min(frames.shape[1:]) < LEAST_SIDE:
        raise ValueError(
            f"a measured PSF has background around it, at least {LEAST_SIDE} x {LEAST_SIDE} "
            f"pixels, got {frames.shape[1]} x {frames.shape[2]}; cut out more of the picture"
        )
    strange = int((~np.isfinite(frames)).sum())
    if strange:
        raise ValueError(f"the PSF has {strange} pixels that are NaN or infinite; repair it")
    if frames.min() == frames.max():
        raise ValueError(
            f"all pixels of the PSF are {frames.max():g}, and none is bright; is it the right file?"
        )
    return frames


def _check_widths(spots: list[Spot]) -> None:
    """ValueError for frames of different widths."""
    widths = [s.width for s in spots]
    narrow, wide = int(np.argmin(widths)), int(np.argmax(widths))
    if widths[wide] > 1.5 * widths[narrow]:
        raise ValueError(
            f"frame {wide + 1} of the PSF is as wide as a Gaussian of {widths[wide]:.2f} pixels "
            f"and frame {narrow + 1} of {widths[narrow]:.2f}; a stack through focus is not one "
            "PSF: pass the frames that are in focus as the image is"
        )


def _mean(spots: list[Spot], centres: list[np.ndarray]) -> np.ndarray:
    """The mean of the frames, each moved so that its centre is in the middle."""
    moved = [_moved(s.signal, c) for s, c in zip(spots, centres, strict=True)]
    return np.mean(moved, axis=0)


def _moved(signal: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """The signal with its centre in the middle of an odd-sized array, large enough for all."""
    sides = [2 * n + 1 for n in signal.shape]
    whole = np.round(centre).astype(int)
    room = np.zeros(sides)
    corner = [side // 2 - at for side, at in zip(sides, whole, strict=True)]
    room[tuple(slice(c, c + n) for c, n in zip(corner, signal.shape, strict=True))] = signal
    fraction = whole - centre
    if not fraction.any():
        return room
    rows, columns = np.fft.fftfreq(sides[0])[:, None], np.fft.rfftfreq(sides[1])
    turn = np.exp(-2j * np.pi * (rows * fraction[0] + columns * fraction[1]))
    return np.fft.irfft2(turn * np.fft.rfft2(room), sides)


def _cropped(mean: np.ndarray, noise: float) -> tuple[np.ndarray, float]:
    """The support around the middle without what is below zero, and the share of that."""
    support = outlined(mean, noise).support
    middle = [n // 2 for n in mean.shape]
    reach = [int(np.abs(at - m).max()) for at, m in zip(np.nonzero(support), middle, strict=True)]
    box = tuple(slice(m - r, m + r + 1) for m, r in zip(middle, reach, strict=True))
    kept = np.where(support, mean, 0.0)[box]
    light, dark = kept[kept > 0].sum(), -kept[kept < 0].sum()
    return kept.clip(min=0), float(dark / light)


def _fitted(
    spots: list[Spot], centres: list[np.ndarray], shape: tuple[int, ...], noise: float
) -> np.ndarray:
    """The kernel of that shape, not resampled, but fitted where the pixels of the frames lie."""
    moved = np.stack([_moved(s.signal, np.round(c)) for s, c in zip(spots, centres, strict=True)])
    support = outlined(moved.mean(0), noise).support
    box = tuple(
        slice(n // 2 - side // 2, n // 2 + side // 2 + 1)
        for n, side in zip(support.shape, shape, strict=True)
    )
    frames = np.where(support, moved, 0.0)[(slice(None), *box)]
    fractions = np.stack([c - np.round(c) for c in centres])
    kernel = shape_behind(frames, fractions)
    off = np.subtract(ndimage.center_of_mass(kernel), [n // 2 for n in kernel.shape])
    return shape_behind(frames, fractions + off)


def _doubts(frames: np.ndarray, negative: float) -> tuple[str, ...]:
    found = []
    top = max(int((frame == frame.max()).sum()) for frame in frames)
    if top > 4:
        found.append(
            f"{top} pixels share the largest value: if the camera was saturated, measure anew"
        )
    if negative > NOISY:
        found.append("the kernel is noisy: average more frames")
    return tuple(found)
