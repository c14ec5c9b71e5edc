"""The command `proxlab restore`: a file in, a file out, what was found said in a line or two."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from proxlab.commands.default_prior import prior_name
from proxlab.commands.device import device
from proxlab.commands.large_image import prepared
from proxlab.commands.problems.measurement import Measurement
from proxlab.commands.problems.readers import READERS
from proxlab.commands.problems.scan_input import measures_slices, slices_of
from proxlab.commands.remarks import remarks
from proxlab.commands.results.hounsfield import check_difference, in_hounsfield
from proxlab.commands.results.places import (
    beside,
    check_outputs,
    clipped_if_told,
    clipped_words,
    depth,
    written_scale,
)
from proxlab.commands.results.traces import trace
from proxlab.commands.stacks.documents import find_documents, one_page
from proxlab.commands.stacks.restoring import completion, filled, restore_pages
from proxlab.commands.stacks.scans import restore_slices
from proxlab.foreign_weights import listed
from proxlab.images import LoadedImage, write_image
from proxlab.images.files import write_json
from proxlab.images.hounsfield import SCALED, write_slice
from proxlab.images.metrics import has_ssim, psnr, ssim
from proxlab.jobs import restore
from proxlab.named_priors import named_prior
from proxlab.restoration import Restoration
from solvers.progress import on_terminal


def restore_file(args: argparse.Namespace) -> None:
    """Read a file, degrade it if told to, restore, write; ValueError or OSError on bad input.

    A TIFF of several pages and a folder are restored page by page, scans of several slices slice by
    slice (`stacks`).
    """
    if not 0 <= args.seed < 2**63:
        raise ValueError(f"--seed is a whole number from 0 to 2^63 - 1, got {args.seed}")
    scan = slices_of(args)
    if scan is not None:
        check_difference(args, None)
        restore_slices(args, scan)
        return
    args = args if measures_slices(args) else one_page(args)
    documents = [] if measures_slices(args) else find_documents(args)
    if documents:
        check_difference(args, None)
        restore_pages(args, documents)
        return
    generator = torch.Generator().manual_seed(args.seed)
    source = READERS[args.problem](args)
    out = args.out or beside(args.input, source)
    bits = depth(source, out)
    check_outputs(args, source, out, bits)
    check_difference(args, source)
    measured = source.measure(generator)
    prior = named_prior(prior_name(args, source), listed(args.allow_weights))
    first = completion(args.start) if args.start else None
    where = device(args.device)
    if isinstance(prior, torch.nn.Module):
        prior.to(where)
    y, op = measured.y.to(where), measured.op.to(where)
    prior = prepared(args, prior, y, op, measured.noise)
    result = restore(
        y,
        op,
        prior,
        args.solver,
        sigma=args.sigma,
        steps=args.steps,
        tol=args.tol,
        progress=not args.quiet and on_terminal(),
        weight=args.weight,
        noise=measured.noise,
        init=None if first is None else filled(first.to(where), y, op, measured.noise),
    )
    image, outside = clipped_if_told(args, measured.kept(result.image.cpu()))
    clipped = _write(args, out, image, bits, source.image) + outside
    if args.trace:
        write_json(args.trace, trace(result), overwrite=args.overwrite)
    source.keep(measured)
    errors = list(in_hounsfield(args, source, measured, image))
    if not args.quiet:
        lines = [
            *remarks(args, source, measured),
            *(f"taken as {counts}" for counts in filter(None, [result.premises.counts])),
            *_scores(measured, image),
            *errors,
            *_verdict(result),
            *clipped_words(args, clipped),
            out,
        ]
        print(*lines, sep="\n")


def _write(
    args: argparse.Namespace, out: Path, image: Tensor, bits: int, loaded: LoadedImage | None
) -> float:
    """Write the image; the fraction of its pixels that were clipped."""
    if args.hounsfield and out.suffix.lower() in SCALED:
        return write_slice(out, image, args.overwrite)
    scale = None if loaded is None else written_scale(args.scale, loaded.bits, out, bits)
    source = None if loaded is None else args.input  # a sinogram says nothing of an image
    return write_image(out, image, bits, args.overwrite, source, scale)


def _scores(measured: Measurement, image: Tensor) -> Iterator[str]:
    """Sentences on how near the image came to the clean one, where that is known."""
    x, before = measured.clean, measured.plain
    if x is None:
        return
    told = f"{float(psnr(image, x)):.2f} dB"
    if before is not None:
        told = f"{float(psnr(before, x)):.2f} -> {told}"
    if not has_ssim(x):
        yield f"PSNR {told}, no SSIM: the image is too small for its window"
    elif before is None:
        yield f"PSNR {told}, SSIM {float(ssim(image, x)):.3f}"
    else:
        yield f"PSNR {told}, SSIM {float(ssim(before, x)):.3f} -> {float(ssim(image, x)):.3f}"
    if measured.plain_is and before is not None:
        yield f"before: {measured.plain_is}"


def _verdict(result: Restoration) -> Iterator[str]:
    """Sentences on how the run ended."""
    yield f"{int(result.steps[0])} steps of {result.solver}, stopped by {result.stopped[0]}"
    yield (
        f"certified: yes: {result.evidence[0].brief}"
        if result.certified[0]
        else (f"certified: no: {result.doubts[0]}")
    )
