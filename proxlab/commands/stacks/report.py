"""Report on a run of many pages: how they ended, and which of them are not certified."""

import argparse
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

from deepinv.physics import Inpainting, LinearPhysics
from torch import Tensor

from proxlab.commands.default_prior import chosen
from proxlab.commands.problems.measurement import Measurement
from proxlab.commands.problems.options import AUTO
from proxlab.commands.remarks import Values, of_values, reading, seen
from proxlab.commands.results.places import clipped_words
from proxlab.commands.stacks.documents import called, left_out
from proxlab.commands.stacks.survey import PageSeen, Survey
from proxlab.images.decoders.pages import Page
from proxlab.images.hounsfield import HOUNSFIELD
from proxlab.images.metrics import has_ssim, psnr, ssim
from proxlab.images.shards import ImageFile

UNNAMED = {"I", "Q"}
"""Axes of which tifffile knows no more than that they are there."""


class Scores(NamedTuple):
    """PSNR and SSIM of an image and of its measurement; None where there is none."""

    psnr: float
    before: float | None
    ssim: float | None
    ssim_before: float | None


@dataclass
class Outcome:
    """End of the run of one page."""

    page: ImageFile
    restored: bool
    """False of a page that diverged."""
    steps: int
    stopped: str
    solver: str
    doubts: list[str]
    """Empty if it is certified."""
    noise: float
    trace: dict[str, Any]
    scores: Scores | None = None
    """None where the clean image is not known."""
    clipped: float = 0.0
    """Fraction of its pixels that its file does not hold."""
    notes: tuple[str, ...] = ()
    """Sentences on what was estimated or assumed of its operator."""
    estimated: float | None = None
    """Noise level that nobody told."""
    counts: str = ""
    """Photon counts that the page was taken for, in words."""


def scored(measured: Measurement, image: Tensor) -> Scores | None:
    """Scores of an image against the clean one, if that is known."""
    x, before = measured.clean, measured.plain
    if x is None:
        return None
    structure = has_ssim(x)
    return Scores(
        float(psnr(image, x)),
        None if before is None else float(psnr(before, x)),
        float(ssim(image, x)) if structure else None,
        float(ssim(before, x)) if structure and before is not None else None,
    )


def report(
    args: argparse.Namespace, found: Survey, outcomes: list[Outcome], op: LinearPhysics
) -> Iterator[str]:
    """The sentences on a run, one a line; the last is where the results are."""
    yield from _input(args, found)
    told: dict[str, list[ImageFile]] = {}
    for one in outcomes:
        for note in one.notes:
            told.setdefault(note, []).append(one.page)
    for note, pages in told.items():
        yield note if len(pages) == len(outcomes) else f"{listing(pages, found)}: {note}"
    if isinstance(op, Inpainting):
        yield from seen(args, found.pages[0].source, op)
    yield from _scores(found, outcomes)
    yield from _noise(args, outcomes)
    yield from _ends(outcomes)
    yield verdict(found, outcomes)
    worst = max(outcomes, key=lambda one: one.clipped)
    share = sum(one.clipped for one in outcomes) / len(outcomes)
    most = f", {100 * worst.clipped:.2f} % of {listing([worst.page], found)}"
    yield from clipped_words(args, share, most)
    yield str(found.out)


def verdict(found: Survey, outcomes: list[Outcome]) -> str:
    """Sentence on how many pages are certified, and on which are not and why.

    Those that have one reason, but for its numbers, are named together with that of the first.
    """
    bad = [one for one in outcomes if one.doubts]
    if not bad:
        return f"certified: all {len(outcomes)} pages"
    groups: dict[str, list[Outcome]] = {}
    for one in bad:
        groups.setdefault(re.sub(r"[\d.]+(e[+-]?\d+)?", "#", one.doubts[0]), []).append(one)
    reasons = (
        f"not {listing([one.page for one in alike], found)}: {alike[0].doubts[0]}"
        for alike in groups.values()
    )
    certified = len(outcomes) - len(bad)
    return "; ".join([f"certified: {certified} of {len(outcomes)} pages", *reasons])


def listing(pages: list[ImageFile], found: Survey) -> str:
    """Names of pages in a sentence: "pages 2, 5-7", "a.png, b.tif page 3"."""
    alone = len(found.targets) == 1 and found.targets[0].document.layout is not None
    if not alone:
        return ", ".join(called(page, alone) for page in pages)
    numbers = [page.number for page in pages if isinstance(page, Page)]
    return f"page{'s' * (len(numbers) > 1)} {ranges(numbers)}"


def ranges(numbers: Iterable[int]) -> str:
    """Rising numbers, those that follow each other as a range: "2, 5-7".

    >>> from proxlab.commands.stacks.report import ranges
    >>> ranges([2, 5, 6, 7])
    '2, 5-7'
    """
    words = []
    for _, group in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        words.append(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]))
    return ", ".join(words)


def _input(args: argparse.Namespace, found: Survey) -> Iterator[str]:
    """Sentences on what was read, what was not, and what its values were taken for."""
    sizes = {page.shape[1:]: None for page in found.pages}
    each = " x ".join(map(str, next(iter(sizes)))) if len(sizes) == 1 else f"{len(sizes)} sizes"
    layouts = [t.document.layout for t in found.targets if t.document.layout is not None]
    along = ""
    if len(found.targets) == 1 and layouts and set(layouts[0].axes) - UNNAMED:
        pairs = zip(layouts[0].axes, layouts[0].lengths, strict=True)
        along = " (" + " x ".join(f"{axis} {length}" for axis, length in pairs) + ")"
    files = f" of {len(found.targets)} files" if args.input.is_dir() else ""
    yield f"{args.input}: {len(found.pages)} pages{along}{files}, {each}, by one operator" + (
        " of each size" if len(sizes) > 1 else ""
    )
    for target in found.targets:
        copies = [] if target.document.layout is None else target.document.layout.left_out
        if copies:
            yield (
                f"pages {ranges(copies)} of {target.document.path} are smaller copies of others, "
                "as thumbnails are, and were left out"
            )
    others = left_out(args.input) if args.input.is_dir() else []
    if others:
        yield (
            f"{len(others)} of what lies in {args.input} is no image and was left out: "
            + ", ".join(others[:5])
            + ", ..." * (len(others) > 5)
        )
    if words := next(filter(None, (chosen(args, page.source) for page in found.pages)), ""):
        yield words
    yield from _values(args, found.pages)


def _values(args: argparse.Namespace, pages: list[PageSeen]) -> Iterator[str]:
    """Remarks on the values of all pages together, for each type among them."""
    slices = [page for page in pages if page.values.scale == HOUNSFIELD]
    share = 1 / max(len(slices), 1)
    clipped = share * sum(page.clipped for page in slices)
    padded = share * sum(page.padded for page in slices)
    yield from reading(str(args.input), HOUNSFIELD, clipped, padded)
    for bits in sorted({page.bits for page in pages if page.values.scale != HOUNSFIELD}):
        mine = [p.values for p in pages if p.bits == bits and p.values.scale != HOUNSFIELD]
        low, high = min(v.low for v in mine), max(v.high for v in mine)
        noise = None if args.noise in (None, AUTO, 0) else args.noise
        yield from of_values(Values(str(args.input), bits, mine[0].scale, low, high), noise)


def _scores(found: Survey, outcomes: list[Outcome]) -> Iterator[str]:
    """Means of PSNR and SSIM, and the page with the least PSNR, where clean images are known."""
    scores = [one.scores for one in outcomes if one.scores is not None]
    if not scores:
        return
    told = f"PSNR {_change([s.before for s in scores], [s.psnr for s in scores], 2)} dB"
    structure = [s.ssim for s in scores if s.ssim is not None]
    if len(structure) == len(scores):
        told += f", SSIM {_change([s.ssim_before for s in scores], structure, 3)}"
    worst = min(outcomes, key=lambda one: float("inf") if one.scores is None else one.scores.psnr)
    assert worst.scores is not None
    least = f"{worst.scores.psnr:.2f} dB of {listing([worst.page], found)}"
    yield f"{told} on average, least {least}"


def _change(before: list[float | None], after: list[float], digits: int) -> str:
    """Mean before and after, the former where all of it is known."""
    known = [value for value in before if value is not None]
    words = f"{sum(after) / len(after):.{digits}f}"
    if len(known) < len(after):
        return words
    return f"{sum(known) / len(known):.{digits}f} -> {words}"


def _noise(args: argparse.Namespace, outcomes: list[Outcome]) -> Iterator[str]:
    """Sentence on a noise level that nobody told."""
    levels = [one.estimated for one in outcomes if one.estimated is not None]
    if levels:
        yield f"noise estimated at {_between(levels)}"
    elif args.noise == 0 and args.photons is None:
        yield f"noise taken as {outcomes[0].noise:.3g}, that of 8 bits"
    yield from (f"taken as {counts}" for counts in {one.counts: None for one in outcomes} if counts)


def _between(levels: list[float]) -> str:
    low, high = f"{min(levels):.3g}", f"{max(levels):.3g}"
    return low if low == high else f"{low} to {high}, of each page its own"


def _ends(outcomes: list[Outcome]) -> Iterator[str]:
    """Sentence on how many steps the pages took, and how they stopped."""
    steps = [one.steps for one in outcomes if one.restored]
    if not steps:
        return
    solver = next(one.solver for one in outcomes if one.restored)
    count = str(min(steps)) if min(steps) == max(steps) else f"{min(steps)} to {max(steps)}"
    ends = [one.stopped for one in outcomes]
    kinds = sorted(set(ends), key=ends.count, reverse=True)
    how = ", ".join(kind if len(kinds) == 1 else f"{ends.count(kind)} by {kind}" for kind in kinds)
    yield f"{count} steps of {solver}, stopped {'by ' * (len(kinds) == 1)}{how}"
