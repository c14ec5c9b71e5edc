"""`proxlab restore`: a file in, a file out, what was found said in a line."""

import argparse
from pathlib import Path

import torch
from deepinv.physics import LinearPhysics

from proxlab import operators
from proxlab.checkpoints import load
from proxlab.cli import device
from proxlab.files import check_writable, write_json
from proxlab.images import WRITABLE, read_image, write_image
from proxlab.measurements import read_kernel, read_mask
from proxlab.metrics import psnr, ssim
from proxlab.restoration import Restoration, restore


def restore_file(args: argparse.Namespace) -> None:
    """Read, degrade if told to, restore, write. Raises ValueError or OSError on bad input."""
    if not 0 <= args.seed < 2**63:
        raise ValueError(f"--seed is a whole number from 0 to 2^63 - 1, got {args.seed}")
    loaded = read_image(args.input, unbounded=not args.simulate)
    bits, out = min(loaded.bits, 16), args.out or _beside(args.input)
    _check_outputs(args, out, bits)
    generator = torch.Generator().manual_seed(args.seed)
    x = loaded.pixels
    op = _operator(args, tuple(x.shape[-2:]), generator)
    prior = load(args.prior)
    where = device(args.device)
    y = op(x, generator=generator) if args.simulate else x
    op, y = op.to(where), y.to(where)
    if isinstance(prior, torch.nn.Module):
        prior.to(where)
    result = restore(
        y,
        op,
        prior,
        args.solver,
        sigma=args.sigma,
        steps=args.steps,
        tol=args.tol,
        progress=not args.quiet,
        weight=args.weight,
        noise=args.noise or 1 / 255,
    )
    image = result.image.cpu()
    clipped = write_image(out, image, bits=bits, overwrite=args.overwrite)
    if args.trace:
        write_json(args.trace, _trace(result), overwrite=args.overwrite)
    if args.quiet:
        return
    if args.simulate:
        before = y.cpu() if y.shape == x.shape else None
        start = f"PSNR {float(psnr(before, x)):.2f} -> " if before is not None else "PSNR "
        ssims = f"{float(ssim(before, x)):.3f} -> " if before is not None else ""
        print(f"{start}{float(psnr(image, x)):.2f} dB, SSIM {ssims}{float(ssim(image, x)):.3f}")
    verdict = "certified" if result.certified[0] else f"not certified: {result.doubts[0]}"
    print(f"{int(result.steps[0])} steps, stopped by {result.stopped[0]}; {verdict}")
    if clipped:
        print(f"{100 * clipped:.2f} % of the pixels were outside [0, 1] and clipped in the file")
    print(out)


def _check_outputs(args: argparse.Namespace, out: Path, bits: int) -> None:
    """Before the work, so that none of it is lost to a place that cannot be written to."""
    kind = out.suffix.lower()
    if kind not in WRITABLE:
        raise ValueError(
            f"cannot write {out}: {kind or 'a file without suffix'} is no type of image known "
            "here; use .png or .npy"
        )
    if bits not in WRITABLE[kind]:
        raise ValueError(
            f"cannot write {out}: {args.input} has {bits} bits and {kind} only 8; use .png or .tif"
        )
    if args.trace is not None and args.trace.resolve() == out.resolve():
        raise ValueError(f"--trace and the image are both to be {out}; choose another name for one")
    for path in (out, args.trace):
        if path is not None:
            check_writable(path, args.overwrite)


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


def _beside(path: Path) -> Path:
    suffix = path.suffix if path.suffix.lower() in WRITABLE else ".png"
    return path.with_name(f"{path.stem}-restored{suffix}")


def _trace(result: Restoration) -> dict:
    def column(values: torch.Tensor | None) -> list[float | None] | None:
        if values is None:
            return None
        return [v if v == v else None for v in values[:, 0].tolist()]

    return {
        "objective": column(result.trace.objective),
        "residual": column(result.trace.residual),
        "data_misfit": column(result.trace.data_misfit),
        "descent": result.descent,
        "sigma": result.sigma,
        "stopped": result.stopped[0],
        "certified": result.certified[0],
        "doubt": result.doubts[0],
    }
