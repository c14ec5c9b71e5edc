"""Tuning: settings of each prior on each problem, chosen on images apart from those of the test.

The weight of a prior is chosen, and the number of steps too if nothing makes its restorations come
to rest. A search goes uphill in the mean PSNR: the weight by factors of sqrt 2, the steps doubled
or halved. Every restoration on the way is a row of a comparison in a folder of its own, so a tuning
resumes as a comparison does, and can be looked at later.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from proxlab.comparison.case import PriorSettings, Row
from proxlab.comparison.plan import Plan
from proxlab.comparison.problems import OfSlices, Problem
from proxlab.images import list_images, read_image, write_image
from proxlab.images.folders import HELD_OUT_EVERY
from proxlab.named_priors import Prior
from proxlab.restoration.restoring import STEPS

MOST_IMAGES = 4
"""Number of images that are looked at, at most."""
MIDDLE_SIDE = 160
"""Side of the middle of each image that is looked at, pixels: settings do not depend on size."""
FIRST_STEPS, LEAST_STEPS = 15, 4
"""Number of steps that the search begins with, and the least: plug-and-play with a descent of noise
levels needs few [Zhang21]."""
GAIN = 0.01
"""Gain, dB, below which a move is not made: it is not worth a setting that needs explaining."""

Compare = Callable[[Mapping[str, Prior], Sequence[Problem], Path, Path, Plan], list[Row]]
"""`proxlab.compare`, resumed: (priors, problems, images, out, plan) -> rows."""


def tune(
    compare: Compare,
    priors: Mapping[str, Prior],
    problems: Sequence[Problem],
    folder: str | Path,
    out: Path,
    plan: Plan,
) -> dict[tuple[str, str], PriorSettings]:
    """Best settings by (prior, problem), for the first solver of the plan and at its noises.

    folder: images to choose on, of which 4 are looked at; out: folder of the rows, of its own;
    plan: its `default` gives the tolerance and the most steps. A prior and problem of which every
    restoration fails gets no settings. In a folder of 60 images or more only every 20th may be
    looked at, which training here holds out.

    Raises ValueError for a folder without images, for an image smaller than 16 x 16 pixels, and for
    problems of slices (`OfSlices`), whose dose their middles do not have.
    """
    for problem in problems:
        if isinstance(problem, OfSlices):
            raise ValueError(
                f"settings of {problem.name} are not chosen here, for the middle of a slice is "
                "given more photons than the whole; leave out --tune, or the problem"
            )
    folder, solver, default = Path(folder).resolve(), plan.solvers[0], plan.default
    crops = _crops(folder, out / folder.name)
    count = len(list_images(crops))
    found = {}
    for problem in problems:
        for name, prior in priors.items():
            free = not (prior.capabilities.exact or prior.capabilities.convex)
            most = STEPS if default.steps is None else default.steps

            def mean_psnr(
                settings: PriorSettings, name=name, prior=prior, problem=problem
            ) -> float:
                tried = Plan(plan.noises, solvers=[solver], settings={}, default=settings)
                rows = compare({name: prior}, [problem], crops, out, tried)
                # a failure is no figure, and settings under which one image fails are not chosen
                whole = len(rows) == count * len(plan.noises or problem.levels)
                return sum(r["psnr"] for r in rows) / len(rows) if whole else -math.inf

            first = dataclasses.replace(
                default,
                weight=prior.capabilities.default_weight,
                steps=min(FIRST_STEPS, most) if free else default.steps,
            )
            best = uphill(mean_psnr, first, most if free else None)
            if best is None:
                continue
            chosen = "weight and steps" if free else "weight"
            found[name, problem.name] = dataclasses.replace(
                best, tuned_on=f"{chosen}, by PSNR on {count} images of {folder.name}, {solver}"
            )
    return found


def uphill(
    height: Callable[[PriorSettings], float], first: PriorSettings, most_steps: int | None
) -> PriorSettings | None:
    """Settings from which no move gains `GAIN`, found uphill from `first`, which has a weight.

    height: what settings are worth, dB, -inf where they fail; most_steps: None if the number of
    steps is not chosen. Returns None if everything that was tried failed.
    """
    known: dict[PriorSettings, float] = {}

    def at(settings: PriorSettings) -> float:
        if settings not in known:
            known[settings] = height(settings)
        return known[settings]

    best, better = first, first
    while better is not None:
        best = better
        others = [s for s in _moves(best, first, most_steps) if at(s) > at(best) + GAIN]
        better = max(others, key=at, default=None)
    return best if at(best) > -math.inf else None


def _moves(
    here: PriorSettings, first: PriorSettings, most_steps: int | None
) -> Iterator[PriorSettings]:
    """Settings one move away from `here`."""
    assert here.weight is not None and first.weight is not None  # `first` has one, moves keep it
    exponent = round(2 * math.log2(here.weight / first.weight))
    for step in (-1, 1):
        # from the first weight each time, so that ways to a setting agree on its digits
        yield dataclasses.replace(here, weight=first.weight * 2 ** ((exponent + step) / 2))
    if most_steps is not None:
        assert here.steps is not None  # `first` has a number, moves keep it
        for steps in (here.steps // 2, min(2 * here.steps, most_steps)):
            if steps != here.steps and steps >= LEAST_STEPS:
                yield dataclasses.replace(here, steps=steps)


def _crops(folder: Path, out: Path) -> Path:
    """Folder `out` with the middles of the images that are looked at."""
    paths = list_images(folder)
    if len(paths) >= 3 * HELD_OUT_EVERY:
        paths = paths[::HELD_OUT_EVERY]
    out.mkdir(parents=True, exist_ok=True)
    most = min(MOST_IMAGES, len(paths))
    chosen = [paths[i * len(paths) // most] for i in range(most)]
    stems = [path.stem for path in chosen]
    for path in chosen:
        pixels = read_image(path, gray=True).pixels
        top, left = (max(0, (n - MIDDLE_SIDE) // 2) for n in pixels.shape[2:])
        crop = pixels[..., top : top + MIDDLE_SIDE, left : left + MIDDLE_SIDE]
        if min(crop.shape[2:]) < 16:
            raise ValueError(
                f"{path} has {tuple(pixels.shape[2:])} pixels, too few to choose settings on; "
                "give a folder of larger images"
            )
        name = path.stem if len(set(stems)) == most else path.name  # a.png and a.tif are two
        write_image(out / f"{name}.png", crop, overwrite=True)
    return out
