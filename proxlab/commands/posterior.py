"""The command `proxlab posterior`: samples of what a measurement leaves open, into a folder.

    torchrun --nproc-per-node 2 -m -- proxlab posterior photo.png inpaint --missing 0.5 ...

shares the samples over processes, the first of which writes.
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from proxlab.commands.default_prior import prior_name
from proxlab.commands.device import device
from proxlab.commands.posterior_figure import draw_posterior
from proxlab.commands.problems.measurement import Measurement
from proxlab.commands.problems.readers import READERS
from proxlab.commands.remarks import remarks
from proxlab.foreign_weights import listed
from proxlab.images import write_image
from proxlab.images.decoders.npy import write_npy_parts
from proxlab.images.files import check_folder, check_writable, write_json, writing
from proxlab.images.metrics import psnr
from proxlab.jobs import restore
from proxlab.named_priors import named_prior
from proxlab.posteriors.drawing import Drawing, Wanted, prepared
from proxlab.posteriors.quality import PosteriorQuality, posterior_quality
from proxlab.posteriors.samples import Posterior
from proxlab.training import processes
from solvers.progress import on_terminal, progress_bar

FILES = ("samples.npy", "mean.png", "deviation.npy", "figure.png", "posterior.json")


def posterior_files(args: argparse.Namespace) -> None:
    """Read a file, degrade it if told to, draw samples, write; ValueError or OSError on bad input.

    The folder args.out gets samples.npy, float32 [n, C, H, W]; mean.png, 16 bits; deviation.npy,
    float32 [C, H, W]; figure.png; and posterior.json, with levels, counts, doubts and, where the
    truth is known, how far the samples hold it.
    """
    if args.start:
        raise ValueError(
            "--start is for restore; samples begin at the plain estimate, which noise drowns; "
            "leave it out"
        )
    if args.samples < 2:
        raise ValueError(f"--samples is 2 or more, for a deviation, got {args.samples}")
    with processes.joined(device(args.device)) as place:
        source = READERS[args.problem](args)
        if processes.rank() == 0:
            _check_folder(args)
        measured = source.measure(torch.Generator().manual_seed(args.seed))
        name = prior_name(args, source)
        drawing = _prepared(args, name, measured, place)
        post = _drawn(drawing, not args.quiet and on_terminal())
        if processes.rank() > 0:
            return
        source.keep(measured)
        post = replace(post, samples=measured.kept(post.samples))
        quality, clipped = _write(args, name, drawing, post, measured)
    if not args.quiet:
        lines = [*remarks(args, source, measured), *_said(args, post, quality)]
        if clipped:
            lines.append(
                f"{100 * clipped:.2f} % of the mean was outside [0, 1] and clipped in its PNG"
            )
        lines.append(args.out)
        print(*lines, sep="\n")


def _check_folder(args: argparse.Namespace) -> None:
    """ValueError for a folder that cannot be written to: before the work, so that none is lost."""
    check_folder(args.out)
    for name in FILES if args.out.exists() else ():
        check_writable(args.out / name, args.overwrite)


def _prepared(args: argparse.Namespace, name: str, measured: Measurement, place: str) -> Drawing:
    prior = named_prior(name, listed(args.allow_weights))
    if isinstance(prior, torch.nn.Module):
        prior.to(place)
    wanted = Wanted(args.samples, args.steps, measured.noise, args.seed, args.batch)
    y, op = measured.y.to(place), measured.op.to(place)
    drawing = prepared(y, op, prior, wanted)
    if _restored_first(args):
        shown = processes.rank() == 0 and not args.quiet and on_terminal()
        first = restore(y, op, prior, noise=measured.noise, progress=shown).image
        drawing = replace(drawing, first=first)
    share = math.ceil(args.samples / processes.count())
    batch = args.batch or min(drawing.starts.step, share)  # so that no process waits for all
    return replace(drawing, wanted=replace(drawing.wanted, batch=batch))


def _restored_first(args: argparse.Namespace) -> bool:
    """Whether samples begin at `restore`'s image: noise does not drown the streaks of CT."""
    return args.problem == "ct"


def _drawn(drawing: Drawing, progress: bool) -> Posterior:
    """All samples in the first process; each process draws every so-manieth batch.

    Counts and doubts are those of the first process's own.
    """
    mine, count = processes.rank(), processes.count()
    parts, own = [], []
    total = len(drawing.starts[::count]) * len(drawing.levels)
    with progress_bar(progress and mine == 0, total, label="posterior") as bar:
        for k, first in enumerate(drawing.starts):
            part, owner = None, k % count
            if owner == mine:
                own.append(drawing.part(first, bar.update))
                part = own[-1].samples
            if mine in (0, owner):
                part = processes.to_first(part, drawing.shape(first), owner)
            if mine == 0 and part is not None:
                parts.append(part.cpu())
    if mine > 0:
        return (
            own[-1] if own else Posterior(torch.empty(0), drawing.levels, 0, 0, (), drawing.level)
        )
    return replace(
        own[0],
        samples=torch.cat(parts),
        products=max(part.products for part in own),
        doubts=tuple(dict.fromkeys(doubt for part in own for doubt in part.doubts)),
    )


def _quality(post: Posterior, measured: Measurement) -> PosteriorQuality | None:
    """Figures of how far the samples hold the truth, where it is known and there are enough."""
    if measured.clean is None or len(post.samples) < 3:
        return None
    return posterior_quality(post.samples, measured.clean)


def _write(
    args: argparse.Namespace, prior: str, drawing: Drawing, post: Posterior, measured: Measurement
) -> tuple[PosteriorQuality | None, float]:
    """Write all files; the quality, and the share of the mean's pixels that were clipped."""
    out: Path = args.out
    out.mkdir(parents=True, exist_ok=True)
    for name, array in (("samples.npy", post.samples[:, 0]), ("deviation.npy", post.std[0])):
        with writing(out / name, args.overwrite) as path:
            whole = array.float().numpy()
            write_npy_parts(path, whole.shape, whole.dtype, [whole])
    clipped = write_image(out / "mean.png", post.mean, bits=16, overwrite=args.overwrite)
    y, first = drawing.y.cpu(), measured.kept(drawing.first.cpu())  # of y what was seen
    if _restored_first(args):
        shown = ("restored", first)
    else:
        shown = ("measured", y) if y.shape == first.shape else ("first estimate", first)
    draw_posterior(out / "figure.png", post, shown, measured.clean, args.overwrite)
    told = {
        "prior": prior,
        "samples": len(post.samples),
        "seed": args.seed,
        "began_at": "restored image" if _restored_first(args) else "plain first estimate",
        "noise": float(post.noise[0]),
        "levels": list(post.levels),
        "evaluations": post.evaluations,
        "products": post.products,
        "doubts": list(post.doubts),
    }
    quality = _quality(post, measured)
    if quality is not None and measured.clean is not None:
        told |= {
            "psnr_of_mean": float(psnr(post.mean, measured.clean)),
            "spread_over_error": quality.spread_over_error,
            "coverage": {f"{100 * level:g} %": held for level, held in quality.coverage.items()},
        }
    write_json(out / "posterior.json", told, overwrite=args.overwrite)
    return quality, clipped


def _said(
    args: argparse.Namespace, post: Posterior, quality: PosteriorQuality | None
) -> Iterator[str]:
    """Sentences on what was drawn and how far it may be trusted."""
    yield (
        f"{len(post.samples)} samples, each of {post.evaluations} evaluations of the prior and "
        f"{post.products} products with its Jacobian"
        + (", begun at the image of `proxlab restore`" if _restored_first(args) else "")
    )
    if quality is not None:
        error = float(quality.mean_square_error[0])
        held = [f"{100 * level:g} % hold {100 * v:.0f} %" for level, v in quality.coverage.items()]
        yield (
            f"mean {-10 * math.log10(error):.2f} dB, spread over error "
            f"{quality.spread_over_error:.2f}, intervals of {', '.join(held)} of the true pixels"
        )
    for doubt in post.doubts:
        yield f"doubt: {doubt}"
