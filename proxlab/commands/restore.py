"""The command `proxlab restore`: a file in, a file out, what was found said in a line or two."""

import argparse
import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from deepinv.physics import Inpainting, LinearPhysics
from torch import Tensor

from proxlab.checkpoints import load
from proxlab.commands.default_prior import prior_name
from proxlab.commands.device import device
from proxlab.commands.large_image import prepared
from proxlab.commands.problems.measurement import Measurement, Source
from proxlab.commands.problems.readers import READERS
from proxlab.commands.remarks import remarks
from proxlab.foreign_weights import listed
from proxlab.images import write_image
from proxlab.images.dicom import check_source
from proxlab.images.files import check_writable, write_json
from proxlab.images.hounsfield import SCALED, write_slice
from proxlab.images.image_writing import WRITABLE
from proxlab.images.metrics import has_ssim, psnr, ssim
from proxlab.images.reading import READABLE
from proxlab.jobs import restore
from proxlab.named_priors import named_prior
from proxlab.operators.counts.camera import counting
from proxlab.priors.crate.completion import Completion
from proxlab.restoration import Restoration
from solvers.progress import on_terminal


def restore_file(args: argparse.Namespace) -> None:
    """Read a file, degrade it if told to, restore, write; ValueError or OSError on bad input."""
    if not 0 <= args.seed < 2**63:
        raise ValueError(f"--seed is a whole number from 0 to 2^63 - 1, got {args.seed}")
    generator = torch.Generator().manual_seed(args.seed)
    source = READERS[args.problem](args)
    out = args.out or _beside(args, source)
    bits = _depth(source, out)
    _check_outputs(args, source, out, bits)
    measured = source.measure(generator)
    prior = named_prior(prior_name(args, source), listed(args.allow_weights))
    first = _completion(args.start) if args.start else None
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
        init=None if first is None else _filled(first.to(where), y, op, measured.noise),
    )
    image = measured.kept(result.image.cpu())
    clipped = _write(args, out, image, bits)
    if args.trace:
        write_json(args.trace, _trace(result), overwrite=args.overwrite)
    source.keep(measured)
    if not args.quiet:
        lines = [
            *remarks(args, source, measured),
            *(f"taken as {counts}" for counts in filter(None, [result.premises.counts])),
            *_scores(measured, image),
            *_verdict(result, clipped),
            out,
        ]
        print(*lines, sep="\n")


def _completion(name: str) -> Completion:
    model = load(name)
    if not isinstance(model, Completion):
        raise ValueError(f"--start names a completion, which fills in what is missing, not {name}")
    return model


def _filled(first: Completion, y: Tensor, op: LinearPhysics, noise: float | None) -> Tensor:
    assert isinstance(op, Inpainting)  # check_usage: --start is for inpaint alone
    numbers = counting(op.noise_model, y)
    if numbers is not None:
        noise = float(numbers.mean_variance(y).sqrt())
    return first.start(y, op, noise)


def _write(args: argparse.Namespace, out: Path, image: Tensor, bits: int) -> float:
    """Write the image; the fraction of its pixels that were clipped."""
    if args.hounsfield and out.suffix.lower() in SCALED:
        return write_slice(out, image, args.overwrite)
    return write_image(out, image, bits, args.overwrite, source=args.input)


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


def _verdict(result: Restoration, clipped: float) -> Iterator[str]:
    """Sentences on how the run ended, and on what of the image its file does not hold."""
    yield f"{int(result.steps[0])} steps of {result.solver}, stopped by {result.stopped[0]}"
    yield (
        f"certified: yes: {result.evidence[0].brief}"
        if result.certified[0]
        else (f"certified: no: {result.doubts[0]}")
    )
    if clipped:
        yield f"{100 * clipped:.2f} % of the pixels were outside [0, 1] and clipped in the file"


def _check_outputs(args: argparse.Namespace, source: Source, out: Path, bits: int) -> None:
    """ValueError for a place that cannot be written to: before the work, so that none is lost."""
    kind = out.suffix.lower()
    if kind == ".dcm":
        _check_dicom(args, source, out)
    elif kind not in WRITABLE:
        raise ValueError(
            f"cannot write {out}: {kind or 'a file without suffix'} is no type of image known "
            "here; use .png or .npy"
        )
    elif bits not in WRITABLE[kind]:
        what = "an image from a sinogram" if source.image is None else args.input
        raise ValueError(
            f"cannot write {out}: {what} has {bits} bits and {kind} only 8; use .png or .tif"
        )
    places = {"the image": out, "--trace": args.trace} | dict(source.files)
    taken: dict[Path, str] = {}
    for what, path in places.items():
        if path is None:
            continue
        other = taken.setdefault(path.resolve(), what)
        if other != what:
            raise ValueError(
                f"{what} and {other} are both to be {path}; choose another name for one"
            )
        check_writable(path, args.overwrite)


def _check_dicom(args: argparse.Namespace, source: Source, out: Path) -> None:
    """ValueError unless the result can be a copy of the DICOM file INPUT, its pixels replaced.

    Another image can be no DICOM, for want of a patient, nor one of another size than its source.
    """
    if source.image is None or source.image.kind != ".dcm":
        raise ValueError(
            f"cannot write {out}: DICOM is written only as a copy of the DICOM file that the image "
            f"came from, and {args.input} is none; use .png or .npy"
        )
    if source.grows:
        raise ValueError(
            f"cannot write {out}: {_why_larger(args)} the result is larger than {args.input}; "
            "use .png or .npy"
        )
    check_source(args.input)


def _why_larger(args: argparse.Namespace) -> str:
    return "of superres" if args.problem == "superres" else "with --boundary valid"


def _beside(args: argparse.Namespace, source: Source) -> Path:
    """Path of the result if none is told: INPUT-restored, of INPUT's type where that will do.

    A sinogram becomes an image to look at.
    """
    path, kind = args.input, "" if source.image is None else source.image.kind
    keeps = kind in WRITABLE or (kind == ".dcm" and not source.grows)
    suffix = path.suffix if path.suffix.lower() == kind else kind  # a TIFF may be called .png
    # A number behind a dot is no suffix: IM.0001, 1.2.840.
    stem = path.stem if path.suffix.lower() in READABLE else path.name
    return path.with_name(f"{stem}-restored{suffix if keeps else '.png'}")


def _depth(source: Source, out: Path) -> int:
    """Bits of the result's file: those of INPUT; floats where the type takes them, else 16."""
    bits = 16 if source.image is None else source.image.bits
    floats = 32 in WRITABLE.get(out.suffix.lower(), ())
    return bits if bits < 32 or floats else 16


def _plain(value: Any) -> Any:
    """The value as JSON holds it: None in place of NaN and of infinity, one evaluation's margin."""
    match value:
        case dict():
            return {key: _plain(one) for key, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
        case float() if not math.isfinite(value):
            return None
    return value


def _trace(result: Restoration) -> dict:
    def column(values: Tensor | None) -> list[float | None] | None:
        if values is None:
            return None
        return _plain(values[:, 0].tolist())

    return {
        "objective": column(result.trace.objective),
        "residual": column(result.trace.residual),
        "data_misfit": column(result.trace.data_misfit),
        "descent": result.descent,
        "sigma": float(result.sigma[0]),
        "stopped": result.stopped[0],
        "certified": result.certified[0],
        "doubt": result.doubts[0],
        "solver": result.solver,
        "noise": float(result.premises.noise[0]),
        "evidence": _plain(asdict(result.evidence[0])),
    }
