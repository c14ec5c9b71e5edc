"""Sentences on what of INPUT was lost, may have been misread, or was not seen at all."""

import argparse
import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from deepinv.physics import Inpainting
from torch import Tensor

from proxlab.commands.default_prior import chosen
from proxlab.commands.problems.measurement import Measurement, Source
from proxlab.commands.problems.options import MISSING, SEEN
from proxlab.images import LoadedImage
from proxlab.images.reading import Scale

CAMERA_BITS = 14
"""Files of 16 bits whose values need no more are likely of a camera or scanner of so many."""
FILLED = 1 / 8
"""Share of the scale below which values are likely meant for another one."""
FEW = 0.2
"""Share of seen pixels below which a mask from a file may be of the other convention."""
ONE, MANY = 0.9, 0.5
"""Shares of pixels that have the commonest colour: of seen ones at least, of missing ones at most,
where a mask was read the wrong way round. Holes are mostly filled with one colour."""


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
    if words := chosen(args, source):
        yield words
    if isinstance(measured.op, Inpainting):
        yield from seen(args, source, measured.op)
    if measured.estimated is not None:
        yield f"noise estimated at {measured.estimated:.3g}"
    elif measured.noise and args.noise == 0:
        yield f"noise taken as {measured.noise:.3g}, that of 8 bits"


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


def seen(args: argparse.Namespace, source: Source, op: Inpainting) -> Iterator[str]:
    """Sentences on how much is seen, and on a mask that may be the wrong way round."""
    mask = torch.as_tensor(op.mask).bool().cpu()
    share = float(mask.double().mean())
    yield f"seen: {100 * share:.1f} % of the pixels, the others are missing"
    if not args.mask:
        return
    other = MISSING if args.mask_is == SEEN else SEEN
    turned = f"with --mask-is {other} it would be read the other way round"
    if source.image is not None and not args.simulate and _inverted(source.image.pixels, mask):
        yield (
            f"{args.mask} looks inverted: nearly all pixels of {args.input} that it calls seen "
            f"have one colour, and those that it calls missing have many; {turned}"
        )
    elif share < FEW:
        habit = " (OpenCV and scikit-image have masks so)" if other == MISSING else ""
        yield f"in {args.mask} 0 was taken for {other}, the other value for {args.mask_is}; " + (
            turned + habit
        )


def _inverted(pixels: Tensor, mask: Tensor) -> bool:
    """Whether an image [1, C, H, W] has its holes where the mask [1, 1, H, W] says seen."""
    there = mask[0, 0]
    if pixels.shape[2:] != there.shape or there.all() or not there.any():
        return False
    colours = (255 * pixels[0]).round().movedim(0, -1)
    return _commonest(colours[there]) >= ONE and _commonest(colours[~there]) <= MANY


def _commonest(colours: Tensor) -> float:
    """Share of the pixels [n, C] that have the colour most have."""
    _, counts = colours.unique(dim=0, return_counts=True)
    return float(counts.max()) / len(colours)
