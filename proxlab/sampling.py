"""Draw images from a diffusion model: `proxlab.sample`."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from proxlab.diffusion.mean_prox import DenoiserDiffusion
from proxlab.diffusion.models import DiffusionModel, ProxDM
from proxlab.diffusion.sample_noise import SampleNoise
from solvers import proxdm, score, uniform_grid
from solvers.progress import progress_bar

Kind = Literal["hybrid", "backward", "flow", "sde", "ode"]
Model = DiffusionModel | DenoiserDiffusion
BATCH = 64
"""Digits at once on a CPU, where more would leave the cache."""
BATCH_ON_GPU = 2048


def sample(
    model: str | Path | Model,
    n: int = 64,
    *,
    steps: int = 10,
    kind: Kind = "hybrid",
    seed: int = 0,
    times: Sequence[float] | None = None,
    batch: int | None = None,
    progress: bool = False,
) -> Tensor:
    """n images [n, C, H, W], [0, 1] up to small excursions, which are left in.

    `model` is a shipped one ("proxdm-mnist"), the path of a .safetensors file, a model of
    `proxlab.checkpoints.load_diffusion`, or a denoiser of yours (`DenoiserDiffusion`), on its
    device. A step is one network evaluation: "hybrid", "backward" and "flow" are proximal (see
    `solvers.proxdm`), "sde" (Euler-Maruyama) and "ode" (probability flow) need a score; what has
    one has a prox too (`proxlab.DenoiserDiffusion`). `times`, a grid of `solvers`, replaces
    `steps`. Image i depends on (seed, i) alone, whatever n and `batch`.

    Raises ValueError for n or steps below 1, for a backward step that is too long, for a model of
    another kind; warns where the model was not trained for the grid.
    """
    return torch.cat(
        list(
            batches(
                model, n, steps=steps, kind=kind, seed=seed, times=times, batch=batch,
                progress=progress,
            )
        )
    )  # fmt: skip


def batches(
    model: str | Path | Model,
    n: int = 64,
    *,
    steps: int = 10,
    kind: Kind = "hybrid",
    seed: int = 0,
    times: Sequence[float] | None = None,
    batch: int | None = None,
    progress: bool = False,
) -> Iterator[Tensor]:
    """What `sample` draws, in parts [at most batch, C, H, W], for an n that memory cannot hold."""
    if isinstance(model, str | Path):
        from proxlab.checkpoints import load_diffusion

        model = load_diffusion(model)
    for what, number in (("n", n), ("batch", batch)):
        if number is not None and number < 1:
            raise ValueError(f"{what} is at least 1, got {number}")
    times = uniform_grid(steps) if times is None else list(times)
    _check(model, times, kind)
    device = next(model.parameters(), torch.empty(0)).device
    batch = batch or (BATCH if device.type == "cpu" else BATCH_ON_GPU)
    return _draw(model, n, times, kind, seed, batch, device, progress)


def _check(model: Model, times: list[float], kind: Kind) -> None:
    if kind in ("sde", "ode") and isinstance(model, ProxDM):
        raise ValueError(
            f"kind {kind!r} needs the score of a diffusion, and {model.name} has only its prox; "
            "take kind='hybrid', 'backward' or 'flow', or a score model"
        )
    _walk(model, torch.empty(0), times, kind, None).close()  # refuses what the sampler refuses
    if kind not in ("sde", "ode") and not isinstance(model, DenoiserDiffusion):
        model.check_steps(times, kind)


def _draw(model, n, times, kind, seed, batch, device, progress) -> Iterator[Tensor]:
    starts = range(0, n, batch)
    with progress_bar(progress, len(starts) * (len(times) - 1)) as bar:
        for first in starts:
            count = min(batch, n - first)
            noise = SampleNoise(seed, range(first, first + count))
            x = noise(torch.empty(count, *model.shape, device=device))
            with closing(_walk(model, x, times, kind, noise)) as walk:
                while True:
                    with torch.no_grad():  # not around a yield, which would leak to the caller
                        state = next(walk, None)
                    if state is None:
                        break
                    x = state.x
                    bar.update()
            yield (x + 1) / 2


def _walk(model: Model, x: Tensor, times: list[float], kind: Kind, noise):
    if kind in ("sde", "ode"):
        return score(model.score, x, times, kind=kind, schedule=model.schedule, noise=noise)
    return proxdm(model.prox, x, times, kind=kind, schedule=model.schedule, noise=noise)
