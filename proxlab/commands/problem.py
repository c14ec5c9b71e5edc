"""What `proxlab restore` works on: a measurement and its operator, from files or simulated."""

import argparse
from typing import NamedTuple

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab import operators
from proxlab.images import LoadedImage
from proxlab.images.operator_files import read_kernel, read_mask


class Problem(NamedTuple):
    """y = op(x) + noise."""

    y: Tensor
    op: LinearPhysics
    clean: Tensor | None
    """[1, C, H, W], where it is known: the measurement was simulated."""
    plain: Tensor | None
    """What a result is compared with, of the size of `clean`: the measurement, or an estimate."""
    noise: float | None
    """Of y, if the operator's own is not to be taken."""


def pixel_problem(
    args: argparse.Namespace, loaded: LoadedImage, generator: torch.Generator
) -> Problem:
    """Blur or missing pixels; raises ValueError on a kernel, mask or noise that cannot be."""
    x = loaded.pixels
    op = _operator(args, (x.shape[-2], x.shape[-1]), generator)
    noise = args.noise or 1 / 255
    if not args.simulate:
        return Problem(x, op, None, None, noise)
    y = op(x, generator=generator)
    return Problem(y, op, x, y if y.shape == x.shape else None, noise)


def _operator(
    args: argparse.Namespace, shape: tuple[int, int], generator: torch.Generator
) -> LinearPhysics:
    if args.problem == "deblur":
        if args.kernel:
            kernel = read_kernel(args.kernel)
        else:
            kernel = operators.gaussian_kernel(args.blur_sigma)
        return operators.deblur(kernel, args.noise, args.boundary, normalize=args.normalize)
    if args.mask:
        mask = read_mask(args.mask)
    elif args.box:
        mask = operators.box_mask(shape, _four(args.box))
    else:
        mask = operators.random_mask(shape, args.missing, generator)
    return operators.inpaint(mask, args.noise)


def _four(text: str) -> tuple[int, int, int, int]:
    try:
        y, x, h, w = (int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--box is four whole numbers Y,X,H,W, got {text!r}") from None
    return y, x, h, w
