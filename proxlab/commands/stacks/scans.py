"""Slices of a scan, restored a few at a time through one operator, with one bar over all.

They become a TIFF, a page a slice, or a folder of DICOM files.
"""

import argparse
import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from proxlab.commands.device import device
from proxlab.commands.large_image import prepared
from proxlab.commands.problems.options import PROBLEM_OPTIONS
from proxlab.commands.problems.scan_input import Measured, ScanInput
from proxlab.commands.results.places import check_places, clipped_if_told, clipped_words
from proxlab.commands.results.traces import trace
from proxlab.commands.stacks.slice_files import SliceFiles, slice_files
from proxlab.foreign_weights import listed
from proxlab.images.files import write_json
from proxlab.jobs import restore
from proxlab.named_priors import named_prior
from proxlab.priors.contract import Prior
from proxlab.priors.tiles.within_memory import budget, need
from proxlab.restoration import Restoration
from solvers import Diverged
from solvers.progress import on_terminal, progress_bar

AT_ONCE = 8
"""Slices that are restored at once, at most: a matrix is read once for so many."""


def restore_slices(args: argparse.Namespace, scan: ScanInput) -> None:
    """Restore every slice of the scan, write, and say which slices are certified.

    Slices that diverge are written as their first estimates, and ValueError says so in the end.
    Raises ValueError or OSError on bad input, before the work.
    """
    out = args.out or args.input.with_name(f"{args.input.stem}-restored.tif")
    check_places({"--trace": args.trace}, args.overwrite)
    where = device(args.device)
    prior = named_prior(args.prior or PROBLEM_OPTIONS["ct"].prior, listed(args.allow_weights))
    if isinstance(prior, torch.nn.Module):
        prior.to(where)
    shape = torch.Size((1, 1, scan.geometry.height, scan.geometry.width))
    whole = max(need(prior, shape, torch.device(where)).whole, 1)
    most = max(1, min(AT_ONCE, budget(torch.device(where)) // whole))
    found: list[Ended] = []
    runs: list[dict] = []
    noises: list[float] = []
    clipped, notes = 0.0, dict.fromkeys(scan.notes)
    kept = scan.op.matrix(torch.zeros(1, device=where))  # that all operators of the scan share
    shown = not args.quiet and on_terminal()
    with (
        slice_files(args, out, scan) as files,
        progress_bar(shown, scan.count, unit="slice") as bar,
    ):
        for first in range(0, scan.count, most):
            last = min(first + most, scan.count)
            made = scan.measured(first, last)
            if first == 0:
                y, op = made.y[:1].to(where), made.op.to(where)
                level = None if made.estimated is None else float(made.estimated[0])
                prior = prepared(args, prior, y, op, level, scan.count)
            result, images = _restored(args, made, prior, where)
            notes |= dict.fromkeys(_placed(made.notes, first, last, scan.count))
            noises += [] if made.estimated is None else made.estimated.tolist()
            clipped += _write(args, files, images)
            found += [_ended(result, b) for b in range(last - first)]
            if result is not None:
                runs += [trace(result, b) for b in range(last - first)]
            bar.update(last - first)
        notes |= dict.fromkeys(files.notes)
    del kept
    if args.trace:
        write_json(args.trace, {"slices": runs}, overwrite=args.overwrite)
    if not args.quiet:
        print(*notes, *_said(args, found, noises, clipped / scan.count), out, sep="\n")
    lost = [number for number, one in enumerate(found, 1) if one.how == "diverged"]
    if lost:
        raise ValueError(
            f"{len(lost)} of {scan.count} slices diverged and are first estimates: "
            f"{', '.join(map(str, lost[:8]))}{', ...' * (len(lost) > 8)}"
        )


class Ended(NamedTuple):
    """End of the run of one slice."""

    how: str
    steps: int
    solver: str
    doubt: str
    """Empty if it is certified."""


def _restored(
    args: argparse.Namespace, made: Measured, prior: Prior, where: str
) -> tuple[Restoration | None, Tensor]:
    """The run on some slices, None if all diverged, and the images [n, 1, H, W] to write."""
    y, op = made.y.to(where), made.op.to(where)
    result, images = None, op.first_estimate(y)
    with contextlib.suppress(Diverged):
        result = restore(
            y,
            op,
            prior,
            args.solver,
            sigma=args.sigma,
            steps=args.steps,
            tol=args.tol,
            weight=args.weight,
            noise=made.estimated,
        )
        kept = [b for b, how in enumerate(result.stopped) if how != "diverged"]
        images[kept] = result.image[kept].to(images)
    return result, images.nan_to_num().cpu()


def _ended(result: Restoration | None, b: int) -> Ended:
    if result is None or result.stopped[b] == "diverged":
        return Ended("diverged", 0, "", "the iterates blew up")
    doubt = "" if result.certified[b] else result.doubts[b]
    return Ended(result.stopped[b], int(result.steps[b]), result.solver, doubt)


def _write(args: argparse.Namespace, files: SliceFiles, images: Tensor) -> float:
    """Write slices [n, 1, H, W]; the sum of the fractions clipped."""
    clipped = 0.0
    for b in range(len(images)):
        image, outside = clipped_if_told(args, images[b : b + 1])
        clipped += files.add(image) + outside
    return clipped


def _placed(notes: tuple[str, ...], first: int, last: int, count: int) -> Iterator[str]:
    """The notes on some slices, which say which ones unless they are all."""
    where = "" if last - first == count else f"slices {first + 1} to {last}: "
    yield from (where + note for note in notes)


def _said(
    args: argparse.Namespace, found: list[Ended], noises: list[float], clipped: float
) -> Iterator[str]:
    """The sentences on how the runs ended."""
    if noises:
        yield f"noise estimated at {min(noises):.3g} to {max(noises):.3g}"
    steps = [one.steps for one in found]
    ends = sorted({one.how for one in found})
    solver = next((one.solver for one in found if one.solver), "")
    yield f"{min(steps)} to {max(steps)} steps of {solver}, stopped by {' or '.join(ends)}"
    bad = [number for number, one in enumerate(found, 1) if one.doubt]
    if not bad:
        yield f"certified: all {len(found)} slices"
    else:
        which = ", ".join(map(str, bad[:8])) + ", ..." * (len(bad) > 8)
        why = found[bad[0] - 1].doubt
        yield f"certified: {len(found) - len(bad)} of {len(found)} slices; not {which}: {why}"
    yield from clipped_words(args, clipped)
