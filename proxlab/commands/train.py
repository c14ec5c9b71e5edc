"""`proxlab train`: the recipe that is named, with what the command line says of it.

Started by torchrun it trains data-parallel: `torchrun --nproc-per-node 2 -m proxlab train RECIPE`.
"""

import json
import logging
import math
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name

from proxlab.commands.device import training_device
from proxlab.commands.models import in_words
from proxlab.images.files import check_folder
from proxlab.training import processes
from proxlab.training.config import Run
from proxlab.training.recipe import Recipe
from proxlab.training.recipes.names import RECIPES
from solvers.progress import on_terminal


def train_recipe(args: Namespace) -> None:
    """Raises ValueError for arguments that do not go together, and as the recipe."""
    out = args.out or Path(args.recipe)
    check_folder(out)
    if args.minutes is not None and not 0 < args.minutes < math.inf:
        raise ValueError(f"--minutes is a positive number, got {args.minutes}")
    recipe = _recipe(args.recipe)
    if args.start and not recipe.goes_on:
        raise ValueError(f"{args.recipe} is trained from scratch; leave out --start")
    if args.size is not None or args.color:
        recipe = _sized(recipe, args)
    told = {"steps": args.steps, "batch": args.batch}
    config = replace(
        recipe.config, **{name: value for name, value in told.items() if value is not None}
    )
    with processes.joined(training_device(args.device)) as place:
        talks = not args.quiet
        run = Run(args.minutes, args.resume, progress=talks and on_terminal(), device=place)
        with _heard() if talks else nullcontext():
            path = recipe(args.data, out, config=config, start=args.start, run=run)
        first = processes.rank() == 0
    if first and path is not None and not args.quiet:
        card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        for words in in_words(card):
            print(words, file=sys.stderr)
        print(path)


@contextmanager
def _heard() -> Iterator[None]:
    """Let stderr have what training logs, of what a user may not expect."""
    logger, handler = logging.getLogger("proxlab.training"), logging.StreamHandler()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def _recipe(name: str) -> Recipe:
    """The recipe of that name; its file is imported here, and no other."""
    return resolve_name(f"proxlab.training.recipes.{RECIPES[name]}")


def _sized(recipe: Recipe, args: Namespace) -> Recipe:
    """The recipe for images of the side and channels that are asked for."""
    if recipe.sizing is None:
        raise ValueError(
            f"--size and --color are for proxdm, not for {recipe.name}; leave them out"
        )
    side = recipe.start.side if args.size is None else args.size
    start, config = recipe.sizing.sized(side, args.color)
    return replace(recipe, start=start, config=config)
