"""Controls of the gradient steps: `unet-gray` and `lpn-gray` trained on as long as `gs-unet` was.

A gradient step that starts from a trained network has had more training than that network. Here
each goes on as it is, by the data, the rates and the minutes of `gs-unet`:

    PROXLAB_DATA=... python -m examples.trained_longer unet-gray --out longer/unet-gray

It writes a model as any other, whose card has the held-out figures.
"""

import argparse
from pathlib import Path

import torch

from proxlab import checkpoints
from proxlab.images.stored import open_gray
from proxlab.priors.unet import UNetDenoiser
from proxlab.training.config import Run, TrainConfig
from proxlab.training.recipe import Recipe
from proxlab.training.recipes.denoising import Built, Denoising, trained_lpn
from proxlab.training.recipes.gradient_steps import gs_unet

MINUTES = 43.0
"""Minutes that `gs-unet` took."""


def same_unet(start: str | Path, config: TrainConfig) -> Built:
    """The U-Net of that name or file, to be trained on. Raises ValueError for another model."""
    model = checkpoints.load(start)
    if not isinstance(model, UNetDenoiser):
        raise ValueError(f"a U-Net goes on here, not {start!r}")
    return model.requires_grad_(True).train(), model.parameter_groups(config.learning_rate)


CONTROLS = {
    "unet-gray": Denoising(open_gray, same_unet),
    "lpn-gray": Denoising(open_gray, trained_lpn),
}


def train_on(name: str, out: Path, minutes: float, resume: bool, data: Path | None = None) -> Path:
    """The file of the model `name` after so many minutes more."""
    recipe = Recipe[str | Path, TrainConfig](
        f"{name}-longer",
        "gray photographs, {start} trained on, squared loss",
        CONTROLS[name],
        name,
        gs_unet.config,
    )
    return recipe(data, out, run=Run(minutes, resume, progress=False))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=CONTROLS)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(train_on(args.name, args.out, args.minutes, args.resume))
