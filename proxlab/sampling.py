"""Draw images from a diffusion model: `proxlab.sample`."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from proxlab.checkpoints import load_diffusion
from proxlab.diffusion.mean_prox import DenoiserDiffusion
from proxlab.diffusion.models import DiffusionModel, ProxDM
from proxlab.diffusion.sample_noise import SampleNoise
from solvers import proxdm, score, uniform_grid
from solvers.noise import Noise
from solvers.progress import progress_bar
from solvers.proximal_diffusion import Kind as ProximalKind
from solvers.proximal_diffusion import Sample

SamplerKind = ProximalKind | Literal["sde", "ode"]
"""A kind of step: of `solvers.proxdm`, by the prox, or of `solvers.score`, by the score."""
Model = DiffusionModel | DenoiserDiffusion
BATCH = 64
"""Number of digits at once on a CPU, where more would leave the cache."""
BATCH_ON_GPU = 2048
"""Number of digits at once on a GPU."""


def sample(
    model: str | Path | Model,
    n: int = 64,
    *,
    steps: int | Sequence[float] = 10,
    kind: SamplerKind = "hybrid",
    seed: int = 0,
    batch: int | None = None,
    progress: bool = False,
) -> Tensor:
    """Draw n images, [n, C, H, W], in [0, 1] up to small excursions, which are left in.

        digits = proxlab.sample("proxdm-mnist", n=64, steps=10)  # [64, 1, 28, 28]

    model: name of a shipped model, path of a .safetensors file, a model of
    `proxlab.checkpoints.load_diffusion`, or a denoiser of yours in a `proxlab.DenoiserDiffusion`,
    which stays on its device; steps: number of uniform steps in time, each of them one evaluation
    of the network, or the times themselves, a grid of `solvers`; kind: "hybrid", "backward" or
    "flow", which are proximal (see `solvers.proxdm`), or "sde" (Euler-Maruyama) or "ode"
    (probability flow), which need a score; seed: image i depends on (seed, i) alone, whatever n and
    batch; batch: number of images at once; progress: whether to draw a bar.

    Every model has a prox; all but those learned as a prox, `ProxDM`, have a score too. Warns where
    the model was not trained for the steps. Raises ValueError for n, steps or batch below 1, for a
    backward step that is too long, and for a kind that the model cannot take. [Fang25; Song21]
    """
    parts = batches(model, n, steps=steps, kind=kind, seed=seed, batch=batch, progress=progress)
    return torch.cat(list(parts))


def batches(
    model: str | Path | Model,
    n: int = 64,
    *,
    steps: int | Sequence[float] = 10,
    kind: SamplerKind = "hybrid",
    seed: int = 0,
    batch: int | None = None,
    progress: bool = False,
) -> Iterator[Tensor]:
    """Draw what `sample` draws in parts [at most batch, C, H, W], where memory cannot hold it all.

    Takes and raises what `sample` does; what is refused is refused before the first part.
    """
    if isinstance(model, str | Path):
        model = load_diffusion(model)
    for what, number in (("n", n), ("batch", batch)):
        if number is not None and number < 1:
            raise ValueError(f"{what} is at least 1, got {number}")
    times = list(steps) if isinstance(steps, Iterable) else uniform_grid(steps)
    walker = _Walker(model, times, kind)
    walker.check()
    if batch is None:
        batch = BATCH if walker.device.type == "cpu" else BATCH_ON_GPU
    return _draw(walker, n, seed, batch, progress)


@dataclass(frozen=True)
class _Walker:
    """A sampler of a model along a time grid."""

    model: Model
    times: list[float]
    kind: SamplerKind

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters(), torch.empty(0)).device

    def check(self) -> None:
        """Raise ValueError for what cannot be walked, and warn of what was not trained for."""
        if self.kind in ("sde", "ode") and isinstance(self.model, ProxDM):
            raise ValueError(
                f"kind {self.kind!r} needs the score of a diffusion, and {self.model.name} has "
                "only its prox; take kind='hybrid', 'backward' or 'flow', or a score model"
            )
        self.walk(torch.empty(0), None)  # refuses what the sampler refuses
        if self.kind not in ("sde", "ode") and not isinstance(self.model, DenoiserDiffusion):
            self.model.check_steps(self.times, self.kind)

    def walk(self, x: Tensor, noise: Noise) -> Iterator[Sample]:
        """States from x ~ N(0, I), [B, C, H, W], on; the last one is the sample."""
        model, times, schedule = self.model, self.times, self.model.schedule
        if self.kind in ("sde", "ode"):
            assert not isinstance(model, ProxDM)  # `check` refuses it
            return score(model.score, x, times, kind=self.kind, schedule=schedule, noise=noise)
        return proxdm(model.prox, x, times, kind=self.kind, schedule=schedule, noise=noise)


def _draw(walker: _Walker, n: int, seed: int, batch: int, progress: bool) -> Iterator[Tensor]:
    starts = range(0, n, batch)
    with progress_bar(progress, len(starts) * (len(walker.times) - 1)) as bar:
        for first in starts:
            count = min(batch, n - first)
            noise = SampleNoise(seed, range(first, first + count))
            x = noise(torch.empty(count, *walker.model.shape, device=walker.device))
            walk = walker.walk(x, noise)
            while True:
                with torch.no_grad():  # not around a yield, which would leak to the caller
                    state = next(walk, None)
                if state is None:
                    break
                x = state.x
                bar.update()
            yield (x + 1) / 2
