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
from proxlab.commands.problems.options import AUTO, MISSING, UNKNOWN
from proxlab.images import read_image
from proxlab.images.operator_files import read_kernel, read_mask
from proxlab.operators.estimates.noise_level import estimate_noise
from proxlab.operators.foreign import as_operator
from proxlab.operators.kernels import check_kernel_fits
from proxlab.operators.noise import checked_noise

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
        op = operators.deblur(kernel, told_noise(args), edges, normalize=args.normalize)
        if boundary == UNKNOWN and isinstance(op, operators.PaddedBlur):
            check_kernel_fits(op.filter, torch.empty(size))
        return op

    source = pixels(args, operator, grows=boundary == "valid" and not args.simulate)

    def told(made: Measurement) -> Measurement:
        made = made._replace(notes=tuple(found))
        return _inside(made) if boundary == UNKNOWN else made

    return _then(source, told)


def inpaint(args: argparse.Namespace) -> Source:
    """An image of which pixels are missing."""

    def operator(size: Size, generator: torch.Generator) -> LinearPhysics:
        if args.mask:
            mask = read_mask(args.mask) ^ (args.mask_is == MISSING)
        elif args.box:
            mask = operators.box_mask(size, _four(args.box))
        else:
            mask = operators.random_mask(size, args.missing, generator)
        return operators.inpaint(mask, told_noise(args))

    return pixels(args, operator)


def superres(args: argparse.Namespace) -> Source:
    """A small image, or with --simulate a large one of which a small one is made."""

    def operator(size: Size, generator: torch.Generator) -> LinearPhysics:
        kernel, offset = None, args.offset
        if args.kernel:
            kernel = read_kernel(args.kernel)
        elif args.blur_sigma is not None:
            whole = args.factor % 2 == 1 if offset is None else offset == round(offset)
            kernel = operators.gaussian_kernel(args.blur_sigma, even=not whole)
        return operators.superres(
            args.factor,
            kernel,
            known_noise(args),
            offset,
            args.boundary or "circular",
            args.normalize,
        )

    def compared(made: Measurement) -> Measurement:
        if made.clean is None:
            return made
        plain = as_operator(made.op).first_estimate(made.y)
        return made._replace(plain=plain, plain_is="cubic interpolation")

    return _then(pixels(args, operator, grows=not args.simulate), compared)


def denoise(args: argparse.Namespace) -> Source:
    """A noisy image."""
    return pixels(args, lambda size, generator: operators.denoise(known_noise(args)))


def pixels(
    args: argparse.Namespace,
    operator: Callable[[Size, torch.Generator], LinearPhysics],
    grows: bool = False,
) -> Source:
    """An image file that is measured, or the clean one with --simulate, by an operator of its size.

    The noise of a measurement is estimated unless it is told; one of 0 is taken as that of 8 bits;
    that of counts is the operator's. Raises ValueError as `read_image`, and as `estimate_noise`
    where none can be read off.
    """
    loaded = read_image(args.input, unbounded=not args.simulate, scale=args.scale)
    x = loaded.pixels

    def measure(generator: torch.Generator) -> Measurement:
        return again(operator((x.shape[-2], x.shape[-1]), generator), generator)

    def again(op: LinearPhysics, generator: torch.Generator) -> Measurement:
        told = None if args.noise in (None, AUTO) else args.noise or 1 / 255
        if args.photons is not None:
            told = None  # the operator knows
        if args.simulate:
            y = op(x, generator=generator)
            return Measurement(y, op, x, y if y.shape == x.shape else None, noise=told)
        guess = told is None and args.photons is None
        estimated = float(estimate_noise(x, op)) if guess else None
        return Measurement(x, op, noise=told or estimated, estimated=estimated)

    return Source(loaded, measure, grows, again=again)


def told_noise(args: argparse.Namespace) -> float | operators.CameraNoise:
    """Noise that the operator is told: that of a camera with --photons, else `known_noise`."""
    if args.photons is None:
        return known_noise(args)
    return operators.CameraNoise(1 / args.photons, checked_noise(args.noise or 0.0))


def _then(source: Source, change: Callable[[Measurement], Measurement]) -> Source:
    """The source, of whose measurements something is changed, those of later pages too."""

    def measure(generator: torch.Generator) -> Measurement:
        return change(source.measure(generator))

    def again(op: LinearPhysics, generator: torch.Generator) -> Measurement:
        assert source.again is not None
        return change(source.again(op, generator))

    return source._replace(measure=measure, again=again)


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
    return 0.0 if args.noise in (None, AUTO) else args.noise


def _four(text: str) -> tuple[int, int, int, int]:
    try:
        y, x, h, w = (int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--box is four whole numbers Y,X,H,W, got {text!r}") from None
    return y, x, h, w


READERS: dict[str, Callable[[argparse.Namespace], Source]] = {
    "deblur": deblur,
    "inpaint": inpaint,
    "superres": superres,
    "denoise": denoise,
    "ct": ct.scan,
}
"""The function that reads INPUT, for each problem by the name that the command line knows."""
