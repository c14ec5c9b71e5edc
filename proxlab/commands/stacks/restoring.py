"""Restoring of all pages of a TIFF or all files of a folder, in batches, with one bar over all."""

import argparse
import contextlib
import math
from collections.abc import Callable

import torch
from deepinv.physics import Inpainting, LinearPhysics
from torch import Tensor

from proxlab.checkpoints import load
from proxlab.commands.default_prior import prior_name
from proxlab.commands.device import device
from proxlab.commands.large_image import prepared
from proxlab.commands.results.places import clipped_if_told
from proxlab.commands.results.traces import trace
from proxlab.commands.stacks.documents import Document
from proxlab.commands.stacks.measuring import Batch, Measuring
from proxlab.commands.stacks.report import Outcome, listing, report, scored
from proxlab.commands.stacks.results import Results
from proxlab.commands.stacks.survey import PageSeen, survey
from proxlab.foreign_weights import listed
from proxlab.images.files import write_json
from proxlab.images.shards import holder
from proxlab.jobs import restore
from proxlab.named_priors import named_prior
from proxlab.operators.counts.camera import counting
from proxlab.operators.foreign import as_operator
from proxlab.priors.contract import Prior
from proxlab.priors.crate.completion import Completion
from proxlab.restoration import Restoration
from solvers import Diverged
from solvers.progress import on_terminal, progress_bar


def restore_pages(args: argparse.Namespace, documents: list[Document]) -> None:
    """Restore every page by one operator, write, and say which pages are certified.

    A page of a TIFF that diverges is written as its first estimate, an image file that does is not
    written, and ValueError says so in the end. Raises ValueError or OSError on bad input, before
    the work.
    """
    found = survey(args, documents)
    where = device(args.device)
    prior_of = _priors(args, where)
    first = completion(args.start).to(where) if args.start else None
    measuring, ready = Measuring(args, where), {}
    outcomes: list[Outcome] = []
    shown = not args.quiet and on_terminal()
    with (
        Results(args, found) as results,
        progress_bar(shown, len(found.pages), unit="page") as bar,
    ):
        for batch in measuring.batches(found.pages, prior_of):
            shape = batch.pages[0].shape
            if shape not in ready:
                alike = sum(seen.shape == shape for seen in found.pages)
                y, noise = batch.measured[0].y.to(where), batch.measured[0].noise
                prior = prior_of(batch.pages[0])
                ready[shape] = prepared(args, prior, y, batch.op, noise, alike)
            result, images = _restored(args, batch, ready[shape], where, first)
            told = [_outcome(batch, result, b) for b in range(len(batch.pages))]
            outcomes += told
            if len(outcomes) == len(found.pages) and not any(one.restored for one in outcomes):
                raise ValueError(f"all {len(outcomes)} pages of {args.input} diverged")
            for b, outcome in enumerate(told):
                one = batch.measured[b].kept(images[b : b + 1])
                image, outside = clipped_if_told(args, one)
                outcome.notes = batch.measured[b].notes
                outcome.estimated = batch.measured[b].estimated
                outcome.scores = scored(batch.measured[b], image) if outcome.restored else None
                if outcome.restored or batch.pages[b].page != holder(batch.pages[b].page):
                    outcome.clipped = results.add(batch.pages[b], image) + outside
                bar.update()
    if args.trace:
        runs = [{"page": str(one.page), **one.trace} for one in outcomes]
        write_json(args.trace, {"pages": runs}, overwrite=args.overwrite)
    if not args.quiet:
        print(*report(args, found, outcomes, measuring.operator(found.pages[0])), sep="\n")
    lost = [one.page for one in outcomes if not one.restored]
    if lost:
        raise ValueError(
            f"{len(lost)} of {len(outcomes)} pages diverged ({listing(lost, found)}): of a TIFF "
            "they are first estimates, other files are not written; all others are restored"
        )


def completion(name: str) -> Completion:
    """The model that --start names. Raises ValueError for one that is no completion."""
    model = load(name)
    if not isinstance(model, Completion):
        raise ValueError(f"--start names a completion, which fills in what is missing, not {name}")
    return model


def _restored(
    args: argparse.Namespace,
    batch: Batch,
    prior: Prior,
    where: str,
    first: Completion | None,
) -> tuple[Restoration | None, Tensor]:
    """The run on a batch, None if all its pages diverged, and the images [B, C, H, W] to write."""
    y = batch.y(where)
    result, images = None, as_operator(batch.op).first_estimate(y)
    with contextlib.suppress(Diverged):
        result = restore(
            y,
            batch.op,
            prior,
            args.solver,
            sigma=args.sigma,
            steps=args.steps,
            tol=args.tol,
            weight=args.weight,
            noise=batch.noise(),
            init=None if first is None else _starts(first, batch, where),
        )
        kept = [b for b, how in enumerate(result.stopped) if how != "diverged"]
        images[kept] = result.image[kept].to(images)
    return result, images.nan_to_num().cpu()


def filled(first: Completion, y: Tensor, op: LinearPhysics, noise: float | None) -> Tensor:
    """The images [B, C, H, W] that a completion makes of y with missing pixels, to start from."""
    assert isinstance(op, Inpainting)  # check_usage: --start is for inpaint alone
    numbers = counting(op.noise_model, y)
    if numbers is not None:
        noise = float(numbers.mean_variance(y).sqrt())
    return first.start(y, op, noise)


def _priors(args: argparse.Namespace, where: str) -> Callable[[PageSeen], Prior]:
    """The prior of a page, of which those of one name share one."""
    made: dict[str, Prior] = {}

    def of(seen: PageSeen) -> Prior:
        name = prior_name(args, seen.source)
        if name not in made:
            prior = named_prior(name, listed(args.allow_weights))
            if isinstance(prior, torch.nn.Module):
                prior.to(where)
            made[name] = prior
        return made[name]

    return of


def _starts(first: Completion, batch: Batch, where: str) -> Tensor:
    each = [filled(first, m.y.to(where), batch.op, m.noise) for m in batch.measured]
    return torch.cat(each)


def _outcome(batch: Batch, result: Restoration | None, b: int) -> Outcome:
    page = batch.pages[b].page
    if result is None or result.stopped[b] == "diverged":
        return Outcome(page, False, 0, "diverged", "", ["the iterates blew up"], math.nan, {})
    return Outcome(
        page,
        True,
        int(result.steps[b]),
        result.stopped[b],
        result.solver,
        [] if result.certified[b] else [result.doubts[b]],
        float(result.premises.noise[b]),
        trace(result, b),
        counts=result.premises.counts,
    )
