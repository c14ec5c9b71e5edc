"""Readers of INPUT, one for each problem of `proxlab restore`: they make a measurement of it.

A problem is a row of `READERS` here and one of
`options.PROBLEM_OPTIONS`, where its options are.
"""

import argparse
from collections.abc import Callable
from typing import cast

import torch
from deepinv.physics import LinearPhysics

from proxlab import operators
from proxlab.commands.problems import ct
from proxlab.commands.problems.measured_blur import measured_kernel
from proxlab.commands.problems.measurement import Measurement, Source
from proxlab.commands.problems.options import AUTO, UNKNOWN
from proxlab.images import read_image
from proxlab.images.operator_files import read_kernel, read_mask
from proxlab.operators.kernels import check_kernel_fits
from proxlab.operators.noise_estimate import estimate_noise

Size = tuple[int, int]
"""Height and width."""


def deblur(args: argparse.Namespace) -> Source:
    """A blurred image; it lacks the edges of what it is restored to, or is said to have them."""
    boundary = args.boundary or ("circular" if args.simulate else UNKNOWN)
    edges = "valid" if boundary == UNKNOWN else boundary
    found: list[str] = []

    def operator(size: Size, generator: torch.Generator) -> LinearPhysics:
        if args.kernel:
            kernel = read_kernel(args.kernel)
        elif args.psf or args.blur_sigma == AUTO:
            assert source.image is not None
            kernel, said = measured_kernel(args, source.image.pixels)
            found.append(said)
        else:
            kernel = operators.gaussian_kernel(args.blur_sigma)
        op = operators.deblur(kernel, known_noise(args), edges, normalize=args.normalize)
        if boundary == UNKNOWN and isinstance(op, operators.PaddedBlur):
            check_kernel_fits(op.filter, torch.empty(size))
        return op

    source = pixels(args, operator, grows=boundary == "valid" and not args.simulate)

    def told(made: Measurement) -> Measurement:
        made = made._replace(notes=tuple(found))
        return _inside(made) if boundary == UNKNOWN else made

    def measure(generator: torch.Generator) -> Measurement:
        return told(source.measure(generator))

    def again(op: LinearPhysics, generator: torch.Generator) -> Measurement:
        assert source.again is not None
        return told(source.again(op, generator))

    return source._replace(measure=measure, again=again)


def inpaint(args: argparse.Namespace) -> Source:
    """An image of which pixels are missing."""

    def operator(size: Size, generator: torch.Generator) -> LinearPhysics:
        if args.mask:
            mask = read_mask(args.mask)
        elif args.box:
            mask = operators.box_mask(size, _four(args.box))
        else:
            mask = operators.random_mask(size, args.missing, generator)
        return operators.inpaint(mask, known_noise(args))

    return pixels(args, operator)


def pixels(
    args: argparse.Namespace,
    operator: Callable[[Size, torch.Generator], LinearPhysics],
    grows: bool = False,
) -> Source:
    """An image file that is measured, or the clean one with --simulate, by an operator of its size.

    A measurement without noise is given that of 8 bits; --noise auto estimates it. Raises
    ValueError as `read_image`.
    """
    loaded = read_image(args.input, unbounded=not args.simulate, scale=args.scale)
    x = loaded.pixels

    def measure(generator: torch.Generator) -> Measurement:
        return again(operator((x.shape[-2], x.shape[-1]), generator), generator)

    def again(op: LinearPhysics, generator: torch.Generator) -> Measurement:
        noise = float(estimate_noise(x, op)) if args.noise == AUTO else args.noise or 1 / 255
        if not args.simulate:
            return Measurement(x, op, noise=noise)
        y = op(x, generator=generator)
        return Measurement(y, op, x, y if y.shape == x.shape else None, noise=noise)

    return Source(loaded, measure, grows, again=again)


def _inside(made: Measurement) -> Measurement:
    """The measurement, of whose restored image that part is kept which was measured."""
    assert isinstance(made.op, operators.PaddedBlur)
    if made.clean is not None:
        made = made._replace(clean=made.op.inside(made.clean), plain=made.y)
    h, w = cast(torch.Tensor, made.op.filter).shape[-2:]
    note = (
        f"{h // 2} rows and {w // 2} columns beyond each edge had blurred into the image; they "
        "were estimated with it and cut off (--boundary circular wraps around instead)"
    )
    return made._replace(kept=made.op.inside, notes=(*made.notes, note))


def known_noise(args: argparse.Namespace) -> float:
    """Noise level that the operator is told: 0.0 for one that is to be estimated."""
    return 0.0 if args.noise == AUTO else args.noise


def _four(text: str) -> tuple[int, int, int, int]:
    try:
        y, x, h, w = (int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--box is four whole numbers Y,X,H,W, got {text!r}") from None
    return y, x, h, w


READERS: dict[str, Callable[[argparse.Namespace], Source]] = {
    "deblur": deblur,
    "inpaint": inpaint,
    "ct": ct.scan,
}
"""The function that reads INPUT, for each problem by the name that the command line knows."""
