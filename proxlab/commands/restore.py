"""`proxlab restore`: a file in, a file out, what was found said in a line."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from proxlab.checkpoints import load
from proxlab.commands import ct_problem
from proxlab.commands.device import device
from proxlab.commands.problem import Problem, pixel_problem
from proxlab.images import LoadedImage, read_image, write_image
from proxlab.images.dicom import check_source
from proxlab.images.files import check_writable, write_json
from proxlab.images.hounsfield import LEVELS, SCALED, write_slice
from proxlab.images.metrics import psnr, ssim
from proxlab.images.reading import WRITABLE
from proxlab.named_priors import named_prior
from proxlab.operators.tomography.operator import Tomography
from proxlab.operators.tomography.sinograms import beside, check_sinogram_writable, write_sinogram
from proxlab.priors.crate.completion import Completion
from proxlab.priors.tiled import Tiled
from proxlab.restoration import Restoration, restore


def restore_file(args: argparse.Namespace) -> None:
    """Read, degrade if told to, restore, write. Raises ValueError or OSError on bad input."""
    if not 0 <= args.seed < 2**63:
        raise ValueError(f"--seed is a whole number from 0 to 2^63 - 1, got {args.seed}")
    generator = torch.Generator().manual_seed(args.seed)
    loaded = _loaded(args)
    bits, out = min(loaded.bits, 16) if loaded else 16, args.out or _beside(args)
    _check_outputs(args, out, bits)
    if loaded is None:
        problem = ct_problem.measured(args)
    elif args.problem == "ct":
        problem = ct_problem.simulated(args, loaded, generator)
    else:
        problem = pixel_problem(args, loaded, generator)
    prior = named_prior(args.prior or _default_prior(args.problem))
    if args.tile is not None:
        prior = Tiled(prior, args.tile)
    first = _completion(args.start) if args.start else None
    where = device(args.device)
    if isinstance(prior, torch.nn.Module):
        prior.to(where)
    y, op = problem.y.to(where), problem.op.to(where)
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
        noise=problem.noise,
        init=first.to(where).start(y, op, problem.noise) if first else None,
    )
    image = result.image.cpu()
    clipped = _write(args, out, image, bits)
    if args.trace:
        write_json(args.trace, _trace(result), overwrite=args.overwrite)
    if args.save_sinogram and isinstance(problem.op, Tomography):
        y, scan = problem.y.cpu(), problem.op.scan
        write_sinogram(args.save_sinogram, y, scan, args.noise, overwrite=args.overwrite)
    if not args.quiet:
        for line in _findings(args, loaded, problem, image, result, clipped):
            print(line)
        print(out)


def _loaded(args: argparse.Namespace) -> LoadedImage | None:
    """INPUT as an image; None if it is a sinogram."""
    if args.problem != "ct":
        return read_image(args.input, unbounded=not args.simulate)
    return None if _is_sinogram(args) else ct_problem.read_clean(args)


def _is_sinogram(args: argparse.Namespace) -> bool:
    return args.problem == "ct" and not args.simulate


def _completion(name: str) -> Completion:
    model = load(name)
    if not isinstance(model, Completion):
        raise ValueError(f"--start names a completion, which fills in what is missing, not {name}")
    return model


def _default_prior(problem: str) -> str:
    return "lpn-ct" if problem == "ct" else "lpn-gray"


def _write(args: argparse.Namespace, out: Path, image: Tensor, bits: int) -> float:
    """The fraction of the pixels that were clipped."""
    if args.hounsfield and out.suffix.lower() in SCALED:
        return write_slice(out, image, args.overwrite)
    return write_image(out, image, bits, args.overwrite, source=args.input)


def _findings(
    args: argparse.Namespace,
    loaded: LoadedImage | None,
    problem: Problem,
    image: Tensor,
    result: Restoration,
    clipped: float,
) -> Iterator[str]:
    """Lines for the reader."""
    x, before = problem.clean, problem.plain
    if loaded is not None and loaded.clipped:
        yield (
            f"{100 * loaded.clipped:.2f} % of the pixels of {args.input} were outside "
            f"{loaded.scale[0]:.0f} .. {loaded.scale[1]:.0f} HU and clipped"
        )
    if (
        args.problem == "ct"
        and loaded is not None
        and loaded.bits == 16
        and loaded.scale[1] == 65535
    ):
        brightest = round(float(loaded.pixels.max()) * 65535)
        if brightest <= LEVELS:
            yield (
                f"{args.input} holds values up to {brightest} of 65535; if they are Hounsfield "
                "units + 1024, add --hounsfield"
            )
    if x is not None:
        scores = [f"{float(psnr(image, x)):.2f} dB", f"{float(ssim(image, x)):.3f}"]
        if before is not None:
            scores[0] = f"{float(psnr(before, x)):.2f} -> {scores[0]}"
            scores[1] = f"{float(ssim(before, x)):.3f} -> {scores[1]}"
        yield f"PSNR {scores[0]}, SSIM {scores[1]}"
        if args.problem == "ct" and before is not None:
            yield "before: filtered back-projection with a Hann window"
    verdict = "certified" if result.certified[0] else f"not certified: {result.doubts[0]}"
    yield f"{int(result.steps[0])} steps, stopped by {result.stopped[0]}; {verdict}"
    if clipped:
        yield f"{100 * clipped:.2f} % of the pixels were outside [0, 1] and clipped in the file"


def _check_outputs(args: argparse.Namespace, out: Path, bits: int) -> None:
    """Before the work, so that none of it is lost to a place that cannot be written to."""
    kind = out.suffix.lower()
    if kind == ".dcm":
        _check_dicom(args, out)
    elif kind not in WRITABLE:
        raise ValueError(
            f"cannot write {out}: {kind or 'a file without suffix'} is no type of image known "
            "here; use .png or .npy"
        )
    elif bits not in WRITABLE[kind]:
        what = "an image from a sinogram" if _is_sinogram(args) else args.input
        raise ValueError(
            f"cannot write {out}: {what} has {bits} bits and {kind} only 8; use .png or .tif"
        )
    places = {"the image": out, "--trace": args.trace}
    if args.save_sinogram is not None:
        check_sinogram_writable(args.save_sinogram, args.overwrite)
        places["--save-sinogram"] = args.save_sinogram
        places["the JSON of --save-sinogram"] = beside(args.save_sinogram)
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


def _check_dicom(args: argparse.Namespace, out: Path) -> None:
    """Another image can be none, for want of a patient, nor one of another size than its source."""
    if args.input.suffix.lower() != ".dcm":
        raise ValueError(
            f"cannot write {out}: DICOM is written only as a copy of the DICOM file that the image "
            f"came from, and {args.input} is none; use .png or .npy"
        )
    if _grows(args):
        raise ValueError(
            f"cannot write {out}: with --boundary valid the result is larger than {args.input}; "
            "use .png or .npy"
        )
    check_source(args.input)


def _grows(args: argparse.Namespace) -> bool:
    return args.problem == "deblur" and args.boundary == "valid" and not args.simulate


def _beside(args: argparse.Namespace) -> Path:
    kind, path = args.input.suffix.lower(), args.input
    keeps = kind in WRITABLE or (kind == ".dcm" and not _grows(args))
    if _is_sinogram(args):
        keeps = False  # it becomes an image to look at
    return path.with_name(f"{path.stem}-restored{path.suffix if keeps else '.png'}")


def _trace(result: Restoration) -> dict:
    def column(values: Tensor | None) -> list[float | None] | None:
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
