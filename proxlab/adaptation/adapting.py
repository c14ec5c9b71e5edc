"""Training that goes on, on noisy images of the kind at hand: `proxlab.adapt`.

A shipped prior knows photographs or slices. Whoever has images of another kind, all of them noisy,
can train it further on those by Recorrupted-to-Recorrupted (`training.recorrupted`): every set of
weights of a mixture potential is that of an exact prox, so what was exact stays so. Whether it
helped is asked of images that were not trained on, and answered from their noise alone; where it
did not, the prior that came in is what comes out. The idea of training at test time is that of
[Tandon25]; what is adapted here is a prior, and nothing in it was made to be adapted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.nn.functional as F
from torch import Tensor

from proxlab import operators
from proxlab.adaptation import admission
from proxlab.images.folders import hold_out, hold_out_part
from proxlab.named_priors import as_prior
from proxlab.operators.estimates.noise_level import estimate_noise
from proxlab.priors.contract import Prior
from proxlab.training.config import Run, TrainConfig
from proxlab.training.loop import Task, train
from proxlab.training.losses import balanced_squared_error
from proxlab.training.patches import Patches
from proxlab.training.recorrupted import RecorruptedPatches, recorrupted

PATCH, BATCH = 64, 4
"""Side of the patches of a step, where images allow, and their number."""
TILE, LOOKS, FEWEST = 16, 4, 8
"""Side of the tiles by which the prior is judged, noises that are drawn for each, and the fewest
tiles whose spread says how sure their mean is."""
SURE = 2.0
"""Standard errors by which the error has to have fallen."""
EVERY = 10
"""One image of so many is held out to judge by; of a single one a fifth."""
UNLIKE = 1.5
"""Factor between the noise told and that estimated at which it is said."""


@dataclass(frozen=True)
class Adapted:
    """A prior after `proxlab.adapt`, and what it gained.

    >>> x = torch.rand(3, 1, 64, 64)
    >>> found = proxlab.adapt("lpn-gray-small", x, 0.1, steps=1)
    >>> found.gain > 2 * found.error or not found.accepted
    True
    """

    prior: Prior
    """The adapted prior, or the one that came in."""
    accepted: bool
    """Whether it is the adapted one: `gain` is more than two standard errors above 0."""
    before: float
    """Mean squared error of a pixel on the images held out, as far as noisy images tell it."""
    gain: float
    """Fall of that error by the training, whether the result was accepted or not."""
    error: float
    """Standard error of `gain`."""
    doubt: str = ""
    """A sentence on a noise level that the images do not seem to have, or nothing."""

    def __repr__(self) -> str:
        what = "adapted" if self.accepted else "not adapted, it did not help for sure"
        words = f"{self.prior.name}: {what}; squared error {self.before:.3g} - {self.gain:.2g} "
        return f"{words}(standard error {self.error:.2g})" + f"; {self.doubt}" * bool(self.doubt)


def adapt(
    prior: str | Path | Prior,
    images: Tensor | Sequence[Tensor],
    sigma: float,
    *,
    steps: int = 80,
    learning_rate: float = 3e-3,
    seed: int = 0,
    progress: bool = False,
) -> Adapted:
    """Train a prior further on noisy images of the kind at hand, without any clean one.

    prior: name of a shipped model, path of a .safetensors file or such a prior, which stays as it
    is; images: noisy, [B, C, H, W], or a sequence of [H, W] or [3, H, W], in units of 0 to 1,
    sides of at least 32 pixels; sigma: standard deviation of their noise, in the same units. One
    image in ten is held out to judge by, of a single one a fifth. The result is the prior that came
    in unless the error on these fell by two standard errors. It is exact if that was.

    Raises ValueError for a prior without parameters, a noise level that it was not trained for,
    images with values that are no numbers, constant ones, and too small ones; TypeError for what is
    no prior. [Pang21; Tandon25]

    >>> noisy = torch.rand(3, 1, 64, 64)
    >>> found = proxlab.adapt("lpn-gray-small", noisy, 0.1, steps=1)
    >>> found.prior.capabilities.exact, found.error > 0
    (True, True)
    """
    given = as_prior(prior)
    model = admission.copied(given)
    level = admission.checked_level(given, sigma)
    kept, held_out = _divided(admission.checked(given, images))
    side = min(PATCH, *(n for x in kept for n in x.shape[-2:]))
    config = TrainConfig(
        steps=steps,
        batch=BATCH,
        patch=side,
        sigma_range=(level, level),
        learning_rate=learning_rate,
        ema=0.9,
        seed=seed,
        evaluate_every=steps,
    )
    pairs = RecorruptedPatches(Patches(kept, side), float(sigma)).draw
    task = Task(model, admission.groups(model, learning_rate), pairs, balanced_squared_error)
    with TemporaryDirectory() as folder:
        train(task, config, Path(folder) / "run", Run(progress=progress))
    model.requires_grad_(False).eval()
    before, after = (_errors(p, held_out, float(sigma), seed) for p in (given, model))
    fall = before - after
    gain, error = float(fall.mean()), float(fall.std() / len(fall) ** 0.5)
    accepted = gain > SURE * error
    if accepted:
        model.name = f"{given.name}-adapted"
    return Adapted(
        model if accepted else given,
        accepted,
        float(before.mean()),
        gain,
        error,
        _doubt(held_out, float(sigma)),
    )


def _divided(images: list[Tensor]) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """Images to train on, and those to judge by."""
    if len(images) == 1:
        kept, end = hold_out_part(images[0], admission.SMALLEST)
        kept, held_out = [kept], [end]
    else:
        kept, held_out = hold_out(images, EVERY)
    tiles = sum((x.shape[-2] // TILE) * (x.shape[-1] // TILE) for x in held_out)
    if tiles < FEWEST:
        raise ValueError(
            f"the images held out have {tiles} tiles of {TILE} x {TILE} pixels, and {FEWEST} are "
            "needed to judge by; give more images, or larger ones"
        )
    return kept, held_out


def _errors(prior: Prior, images: Sequence[Tensor], sigma: float, seed: int) -> Tensor:
    """Squared errors of a pixel for every tile of the images, the same noise for each prior.

    Of |f(y1) - y2|^2 what z and the noise of the images bring is taken off, z as it was drawn.
    """
    generator, found = torch.Generator().manual_seed(seed + 1), []
    for x in images:
        noisy = x.reshape(1, -1, *x.shape[-2:])
        total = torch.zeros(())
        for _ in range(LOOKS):
            target, given, levels = recorrupted(noisy, sigma, generator)
            with torch.no_grad():
                square = (prior.prox(given, levels) - target).square()
            square = (square - (target - noisy).square()).mean(1, keepdim=True)
            total = total + F.avg_pool2d(square.double(), TILE)
        found.append(total.flatten() / LOOKS - sigma**2)
    return torch.cat(found)


def _doubt(images: Sequence[Tensor], sigma: float) -> str:
    """Words on a noise level that is far from what the images show."""
    op = operators.denoise(sigma)
    found = torch.cat([estimate_noise(x.reshape(1, -1, *x.shape[-2:]), op) for x in images])
    seen = float(found.median())
    if 1 / UNLIKE < seen / sigma < UNLIKE:
        return ""
    return f"the images look as if their noise were {seen:.3g}, and {sigma:.3g} was told"
