"""Sentences on what of INPUT was lost, may have been misread, or was not seen at all."""

import argparse
import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from deepinv.physics import Inpainting

from proxlab.commands.problems.measurement import Measurement, Source
from proxlab.images import LoadedImage
from proxlab.images.reading import Scale

CAMERA_BITS = 14
"""Files of 16 bits whose values need no more are likely of a camera or scanner of so many."""
FILLED = 1 / 8
"""Share of the scale below which values are likely meant for another one."""
FEW = 0.2
"""Share of seen pixels below which a mask from a file may be of the other convention."""


class Values(NamedTuple):
    """Values of a file, or of all pages of a stack, and what they were taken for."""

    name: str
    bits: int
    """8, 16, or 32 for floats."""
    scale: Scale
    """Values that are taken for 0 and 1."""
    low: float
    high: float


def remarks(args: argparse.Namespace, source: Source, measured: Measurement) -> Iterator[str]:
    """The sentences on a run of `proxlab restore`, one a line."""
    image = source.image
    if image is not None:
        yield from reading(str(args.input), image.scale, image.clipped, image.padded)
    if source.hint:
        yield source.hint
    elif image is not None and args.problem != "ct" and image.kind != ".dcm":
        yield from of_values(values(str(args.input), image), measured.noise)
    yield from measured.notes
    if isinstance(measured.op, Inpainting):
        yield from seen(args, measured.op)


def values(name: str, loaded: LoadedImage) -> Values:
    """Values of a file that was read."""
    first, last = loaded.scale
    low, high = (first + float(end) * (last - first) for end in loaded.pixels.aminmax())
    return Values(name, loaded.bits, loaded.scale, low, high)


def reading(name: str, scale: Scale, clipped: float, padded: float) -> Iterator[str]:
    """Sentences on what of a file was lost; clipped and padded: fractions of its pixels."""
    if clipped:
        yield (
            f"{100 * clipped:.2f} % of the pixels of {name} were outside "
            f"{scale[0]:.0f} .. {scale[1]:.0f} HU and clipped"
        )
    if padded:
        yield (
            f"{100 * padded:.2f} % of the pixels of {name} are marked as padding "
            "(PixelPaddingValue) and were taken as air"
        )


def of_values(found: Values, noise: float | None) -> Iterator[str]:
    """Hints for values that are few of those that the scale has, and what a told scale means."""
    low, high = found.scale
    own = found.scale == (0.0, 1.0 if found.bits == 32 else 2.0**found.bits - 1)
    brightest = round(found.high)
    bits = max(8, 2 * math.ceil(brightest.bit_length() / 2))  # no camera has 11 or 13
    if not own:
        told = "" if noise is None else f": noise {noise:.3g} is {noise * (high - low):.4g} of them"
        yield f"values {low:g} and {high:g} of {found.name} are taken for 0 and 1{told}"
    if own and found.bits == 16 and brightest > 0 and bits <= CAMERA_BITS:
        yield (
            f"{found.name} holds values up to {brightest} of 65535; if they are {bits} bits in a "
            f"file of 16, say --scale 0,{2**bits - 1}: noise levels and PSNR are meant for an "
            "image whose white is 1, here 65535"
        )
    elif found.high - found.low < FILLED * (high - low):
        yield (
            f"{found.name} holds values from {found.low:.4g} to {found.high:.4g}, a small part of "
            f"{low:g} to {high:g}, which are taken for 0 and 1; if the image has no others, say "
            f"--scale LOW,HIGH, such as {_round(found)}: noise levels and priors are meant for "
            "images that fill it"
        )


def _round(found: Values) -> str:
    """The values of an image, two digits each, as --scale takes them."""
    step = 10.0 ** (math.floor(math.log10(max(found.high - found.low, 1e-30))) - 1)
    low, high = math.floor(found.low / step) * step, math.ceil(found.high / step) * step
    return f"{low:.6g},{max(high, low + step):.6g}"


def seen(args: argparse.Namespace, op: Inpainting) -> Iterator[str]:
    """Share of an image that is seen, and whether the mask may be the wrong way round."""
    share = float(torch.as_tensor(op.mask).bool().double().mean())
    yield f"{100 * share:.1f} % of the pixels are seen, the others missing"
    if args.mask and share < FEW:
        yield (
            f"in {args.mask} 0 is missing and the other value seen; where it is the reverse (as in "
            "OpenCV and scikit-image), invert it"
        )
