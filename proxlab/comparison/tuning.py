"""Settings of each prior on each problem, chosen on images that are kept apart from the test's.

What is chosen is the weight of the prior and, of one whose restorations nothing makes come to rest,
the number of steps, by a search that goes uphill in the mean PSNR: the weight by factors of sqrt 2,
the steps doubled or halved. Every restoration it makes is a row in the folder `tuning`, so that it
resumes as a comparison does, and can be read again.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from proxlab.comparison.case import Settings
from proxlab.comparison.problems import Problem
from proxlab.images import list_images, read_image, write_image
from proxlab.images.folders import HELD_OUT_EVERY

MOST_IMAGES = 4
SIDE = 160
"""Of the middles of images that are looked at, pixels: the choice is not of their size."""
FIRST_STEPS, LEAST_STEPS = 15, 4
"""Of a prior whose steps are chosen: plug-and-play with a descent of levels needs few [Zhang21]."""
GAIN = 0.01
"""dB; a move that gains less is not worth a setting that needs explaining."""

Compare = Callable[..., list[dict[str, Any]]]
"""`proxlab.compare`, but for the device and the processes, which are its caller's."""


def tune(
    compare: Compare,
    priors: Mapping[str, Any],
    problems: Sequence[Problem],
    folder: str | Path,
    out: Path,
    solver: str,
    default: Settings,
    noises: Sequence[float] = (),
) -> dict[tuple[str, str], Settings]:
    """By (prior, problem); rows go to `out`, an own folder. `default.steps` are never exceeded.

    At `noises`, or each problem's own. Where every restoration fails nothing is chosen.

    Looks at 4 images of `folder`; in one of 60 or more only at every 20th, which training here
    holds out. Raises ValueError if it holds no image, or all are smaller than 16 pixels.
    """
    folder = Path(folder).resolve()
    crops = _crops(folder, out / folder.name)
    count = len(list_images(crops))
    found = {}
    for problem in problems:
        for name, prior in priors.items():
            free = not (getattr(prior, "exact", False) or getattr(prior, "convex", False))

            def mean_psnr(settings: Settings, name=name, prior=prior, problem=problem) -> float:
                rows = compare(
                    {name: prior},
                    [problem],
                    crops,
                    out,
                    solvers=[solver],
                    noises=noises,
                    settings={},
                    default=settings,
                    resume=True,
                )
                # a failure is no figure, and settings under which one image fails are not chosen
                whole = len(rows) == count * len(noises or problem.levels)
                return sum(r["psnr"] for r in rows) / len(rows) if whole else -math.inf

            first = dataclasses.replace(
                default,
                weight=getattr(prior, "default_weight", 1.0),
                steps=min(FIRST_STEPS, default.steps) if free else default.steps,
            )
            best = uphill(mean_psnr, first, default.steps if free else None)
            if best is None:
                continue
            chosen = "weight and steps" if free else "weight"
            found[name, problem.name] = dataclasses.replace(
                best, tuned_on=f"{chosen}, by PSNR on {count} images of {folder.name}, {solver}"
            )
    return found


def uphill(
    height: Callable[[Settings], float], first: Settings, most_steps: int | None
) -> Settings | None:
    """The settings from which no move gains `GAIN`; the steps stay if `most_steps` is None.

    None if all that was tried is -inf.
    """
    known: dict[Settings, float] = {}

    def at(settings: Settings) -> float:
        if settings not in known:
            known[settings] = height(settings)
        return known[settings]

    best, better = first, first
    while better is not None:
        best = better
        others = [s for s in _moves(best, first, most_steps) if at(s) > at(best) + GAIN]
        better = max(others, key=at, default=None)
    return best if at(best) > -math.inf else None


def _moves(here: Settings, first: Settings, most_steps: int | None) -> Iterator[Settings]:
    exponent = round(2 * math.log2(here.weight / first.weight))
    for step in (-1, 1):
        # from the first weight each time, so that ways to a setting agree on its digits
        yield dataclasses.replace(here, weight=first.weight * 2 ** ((exponent + step) / 2))
    if most_steps is not None:
        for steps in (here.steps // 2, min(2 * here.steps, most_steps)):
            if steps != here.steps and steps >= LEAST_STEPS:
                yield dataclasses.replace(here, steps=steps)


def _crops(folder: Path, out: Path) -> Path:
    """A folder of the middles of the images that are looked at, made once."""
    paths = list_images(folder)
    if len(paths) >= 3 * HELD_OUT_EVERY:
        paths = paths[::HELD_OUT_EVERY]
    out.mkdir(parents=True, exist_ok=True)
    for i in range(min(MOST_IMAGES, len(paths))):
        path = paths[i * len(paths) // min(MOST_IMAGES, len(paths))]
        pixels = read_image(path, gray=True).pixels
        top, left = (max(0, (n - SIDE) // 2) for n in pixels.shape[2:])
        crop = pixels[..., top : top + SIDE, left : left + SIDE]
        if min(crop.shape[2:]) < 16:
            raise ValueError(
                f"{path} has {tuple(pixels.shape[2:])} pixels, too few to choose settings on; "
                "give a folder of larger images"
            )
        write_image(out / f"{path.stem}.png", crop, overwrite=True)
    return out
