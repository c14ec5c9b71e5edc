"""`proxlab train`: the recipe that is named, with what the command line says of it.

Started by torchrun it trains data-parallel: `torchrun --nproc-per-node 2 -m proxlab train RECIPE`.
"""

from argparse import Namespace
from dataclasses import replace
from functools import partial
from pathlib import Path

from proxlab.commands.device import device
from proxlab.images.files import check_folder
from proxlab.training import processes
from proxlab.training.loop import TrainConfig
from proxlab.training.recipes import completion, crate, diffusion, digits, photographs
from proxlab.training.recipes.names import CLASSIFIER, COMPLETION, CRATES, DIFFUSIONS

STARTS = {"lpn-gray-pm": "lpn-gray", "crate-gray-step": "crate-gray"}
"""Recipes that train a model further -> that model."""


def train_recipe(args: Namespace) -> None:
    """Raises ValueError for arguments that do not go together, and as the recipe."""
    out = args.out or Path(args.recipe)
    check_folder(out)
    if not args.minutes >= 0:
        raise ValueError(f"--minutes is a positive number, got {args.minutes}")
    if args.start and args.recipe not in STARTS:
        raise ValueError(f"{args.recipe} is trained from scratch; leave out --start")
    recipe, config = _recipe(args.recipe, args.start)
    told = {"steps": args.steps, "batch": args.batch}
    config = replace(config, **{name: value for name, value in told.items() if value is not None})
    with processes.joined(device(args.device)) as place:
        path = recipe(
            args.data,
            out,
            config=config,
            minutes=args.minutes,
            resume=args.resume,
            progress=not args.quiet,
            device=place,
        )
        first = processes.rank() == 0
    if first and not args.quiet:
        print(path or f"stopped after {args.minutes} minutes; go on with --resume")


def _recipe(name: str, start: str | None):
    """What trains it, and its configuration."""
    attribute = name.replace("-", "_")
    if name == CLASSIFIER:
        config = digits.DigitClassifierTraining()
        return digits.train_digit_classifier, config
    if name == COMPLETION:
        return completion.train_completion, completion.CONFIG
    if name == "lpn-gray-pm":
        recipe = partial(photographs.lpn_gray_pm, start=start or STARTS[name])
        return recipe, TrainConfig(learning_rate=1e-3)
    if name == "crate-gray-step":
        recipe = partial(crate.crate_gray_step, start=start or STARTS[name])
        return recipe, crate.STEP_CONFIG
    room = diffusion if name in DIFFUSIONS else photographs
    recipe = getattr(crate if name in CRATES else room, attribute)
    return recipe, recipe.config
