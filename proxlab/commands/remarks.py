"""Sentences on what of INPUT was lost, may have been misread, or was not seen at all."""

import argparse
import math
from collections.abc import Iterator

import torch
from deepinv.physics import Inpainting
from torch import Tensor

from proxlab.commands.default_prior import chosen
from proxlab.commands.problems.measurement import Measurement, Source
from proxlab.commands.problems.options import MISSING, SEEN
from proxlab.images import LoadedImage

CAMERA_BITS = 14
"""Files of 16 bits whose values need no more are likely of a camera or scanner of so many."""
FEW = 0.2
"""Share of seen pixels below which a mask from a file may be of the other convention."""
ONE, MANY = 0.9, 0.5
"""Shares of pixels that have the commonest colour: of seen ones at least, of missing ones at most,
where a mask was read the wrong way round. Holes are mostly filled with one colour."""


def remarks(args: argparse.Namespace, source: Source, measured: Measurement) -> Iterator[str]:
    """The sentences on a run of `proxlab restore`, one a line."""
    if source.image is not None:
        yield from _reading(args, source.image)
    if source.hint:
        yield source.hint
    elif source.image is not None:
        yield from _dark(args, source.image)
    yield from measured.notes
    if words := chosen(args, source):
        yield words
    if isinstance(measured.op, Inpainting):
        yield from _seen(args, source, measured.op)
    if measured.estimated is not None:
        yield f"noise estimated at {measured.estimated:.3g}"
    elif measured.noise and args.noise == 0:
        yield f"noise taken as {measured.noise:.3g}, that of 8 bits"


def _reading(args: argparse.Namespace, loaded: LoadedImage) -> Iterator[str]:
    if loaded.clipped:
        yield (
            f"{100 * loaded.clipped:.2f} % of the pixels of {args.input} were outside "
            f"{loaded.scale[0]:.0f} .. {loaded.scale[1]:.0f} HU and clipped"
        )
    if loaded.padded:
        yield (
            f"{100 * loaded.padded:.2f} % of the pixels of {args.input} are marked as padding "
            "(PixelPaddingValue) and were taken as air"
        )


def _dark(args: argparse.Namespace, loaded: LoadedImage) -> Iterator[str]:
    """A hint for 12 bits in a file of 16, which is 16 times darker than its owner thinks."""
    if loaded.bits != 16 or loaded.scale[1] != 65535 or args.problem == "ct":
        return
    brightest = round(float(loaded.pixels.max()) * 65535)
    bits = max(8, 2 * math.ceil(brightest.bit_length() / 2))  # no camera has 11 or 13
    if brightest > 0 and bits <= CAMERA_BITS:
        yield (
            f"{args.input} holds values up to {brightest} of 65535; if they are {bits} bits in a "
            f"file of 16, multiply them by {65535 / (2**bits - 1):.4g} first: noise levels and "
            "PSNR are meant for an image whose white is 65535"
        )


def _seen(args: argparse.Namespace, source: Source, op: Inpainting) -> Iterator[str]:
    mask = torch.as_tensor(op.mask).bool().cpu()
    seen = float(mask.double().mean())
    yield f"seen: {100 * seen:.1f} % of the pixels, the others are missing"
    if not args.mask:
        return
    other = MISSING if args.mask_is == SEEN else SEEN
    turned = f"with --mask-is {other} it would be read the other way round"
    if source.image is not None and not args.simulate and _inverted(source.image.pixels, mask):
        yield (
            f"{args.mask} looks inverted: nearly all pixels of {args.input} that it calls seen "
            f"have one colour, and those that it calls missing have many; {turned}"
        )
    elif seen < FEW:
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
