"""Draw images from a diffusion model: `proxlab.sample`."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from proxlab.checkpoints import load_diffusion
from proxlab.diffusion.mean_prox import DenoiserDiffusion
from proxlab.diffusion.models import DiffusionModel, ProxDM, ScoreModel
from proxlab.sample_noise import SampleNoise
from solvers import Restricted, proxdm, score, uniform_grid
from solvers.diffusion.proximal import Sample, StepKind
from solvers.noise import Noise
from solvers.progress import progress_bar

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
    kind: str | Restricted = "restricted",
    seed: int = 0,
    batch: int | None = None,
    progress: bool = False,
) -> Tensor:
    """Draw n images, [n, C, H, W], in [0, 1] up to small excursions, which are left in.

    model: name of a shipped model, path of a .safetensors file, a model of
    `proxlab.checkpoints.load_diffusion`, or a denoiser of yours in a `proxlab.DenoiserDiffusion`,
    which stays on its device; steps: number of steps, each of them one evaluation of the network,
    or the times themselves, a grid of `solvers`; kind: of `SAMPLERS`, "restricted", "hybrid",
    "backward" or "flow", which are proximal (see `solvers.proxdm`), or "sde" (Euler-Maruyama) or
    "ode" (probability flow), which need a score, or a `solvers.Restricted`. A number of restricted
    steps are those of the model's `few_steps`, from below t = 1; of the others they are uniform in
    time. seed: image i depends on (seed, i) alone, whatever
    n and batch; batch: number of images at once; progress: whether to draw a bar.

    Every model has a prox; all but those learned as a prox, `ProxDM`, have a score too. Warns where
    the model was not trained for the steps. Raises ValueError for n, steps or batch below 1, for a
    backward step that is too long, and for a kind that the model cannot take. [Fang25; Song21]

    >>> digits = proxlab.sample("proxdm-mnist", n=2, steps=5)
    >>> digits.shape
    torch.Size([2, 1, 28, 28])
    >>> more = proxlab.sample("proxdm-mnist", n=3, steps=5)
    >>> more[:2].allclose(digits, atol=1e-4)   # an image depends on its seed alone
    True
    """
    parts = batches(model, n, steps=steps, kind=kind, seed=seed, batch=batch, progress=progress)
    return torch.cat(list(parts))


def batches(
    model: str | Path | Model,
    n: int = 64,
    *,
    steps: int | Sequence[float] = 10,
    kind: str | Restricted = "restricted",
    seed: int = 0,
    batch: int | None = None,
    progress: bool = False,
) -> Iterator[Tensor]:
    """Draw what `sample` draws in parts [at most batch, C, H, W], where memory cannot hold it all.

    Takes and raises what `sample` does; what is refused is refused before the first part.
    """
    drawing = prepared(model, n, steps=steps, kind=kind, seed=seed, batch=batch)
    return _parts(drawing, progress)


def prepared(
    model: str | Path | Model,
    n: int,
    *,
    steps: int | Sequence[float] = 10,
    kind: str | Restricted = "restricted",
    seed: int = 0,
    batch: int | None = None,
) -> "Drawing":
    """Check all that `sample` takes, and draw nothing yet. Raises as `sample`."""
    if isinstance(model, str | Path):
        model = load_diffusion(model)
    for what, number in (("n", n), ("batch", batch)):
        if number is not None and number < 1:
            raise ValueError(f"{what} is at least 1, got {number}")
    sampler = _found(model, kind)
    times = list(steps) if isinstance(steps, Iterable) else sampler.grid(model, steps)
    _check(model, times, sampler)
    SampleNoise(seed, range(1))  # refuses what is no seed
    if batch is None:
        batch = BATCH if _device(model).type == "cpu" else BATCH_ON_GPU
    return Drawing(model, times, sampler, n, seed, batch)


class Sampler(NamedTuple):
    """One way from noise to an image."""

    walk: Callable[[Any, Tensor, list[float], Noise], Iterator[Sample]]
    """(model, x of the last time [B, C, H, W], times, noise) -> states; the last is the sample."""
    grid: Callable[[Model, int], list[float]]
    """(model, number of steps) -> times."""
    steps: StepKind | None
    """Kind of its proximal steps, for which a model may not be trained; None: it asks the score."""


def _uniform(model: Model, steps: int) -> list[float]:
    """Steps that are equal in time."""
    return uniform_grid(steps)


def _proximal(kind: StepKind, grid: Callable[[Model, int], list[float]] = _uniform) -> Sampler:
    """Sampler by the model's prox."""

    def walk(model: Model, x: Tensor, times: list[float], noise: Noise) -> Iterator[Sample]:
        return proxdm(model.prox, x, times, kind=kind, schedule=model.schedule, noise=noise)

    return Sampler(walk, grid, kind)


def _restricted(kind: StepKind) -> Sampler:
    """Sampler by the model's prox in restricted steps."""
    return _proximal(kind, lambda model, steps: model.few_steps(steps))


def _explicit(kind: Literal["sde", "ode"]) -> Sampler:
    """Sampler by the model's score."""

    def walk(
        model: ScoreModel | DenoiserDiffusion, x: Tensor, times: list[float], noise: Noise
    ) -> Iterator[Sample]:
        return score(model.score, x, times, kind=kind, schedule=model.schedule, noise=noise)

    return Sampler(walk, _uniform, None)


SAMPLERS = {
    "restricted": _restricted("restricted"),
    "hybrid": _proximal("hybrid"),
    "backward": _proximal("backward"),
    "flow": _proximal("flow"),
    "sde": _explicit("sde"),
    "ode": _explicit("ode"),
}
"""The samplers by the name that `kind` takes."""


def _found(model: Model, kind: str | Restricted) -> Sampler:
    """The sampler of that kind; ValueError if there is none, or the model cannot take it."""
    if isinstance(kind, Restricted):
        return _restricted(kind)
    if kind not in SAMPLERS:
        raise ValueError(
            f"kind is one of {', '.join(SAMPLERS)} or a solvers.Restricted, got {kind!r}"
        )
    sampler = SAMPLERS[kind]
    if sampler.steps is None and isinstance(model, ProxDM):
        others = [repr(name) for name, row in SAMPLERS.items() if row.steps is not None]
        raise ValueError(
            f"kind {kind!r} needs the score of a diffusion, and {model.name} has only its prox; "
            f"take kind={', '.join(others[:-1])} or {others[-1]}, or a score model"
        )
    return sampler


def _check(model: Model, times: list[float], sampler: Sampler) -> None:
    """Raise ValueError for times that cannot be walked; warn of those not trained for."""
    sampler.walk(model, torch.empty(0), times, None)  # refuses what the sampler refuses
    if isinstance(model, DenoiserDiffusion):
        return
    if sampler.steps is not None:
        model.check_steps(times, sampler.steps)
    model.begin(torch.empty(0, *model.shape, device=_device(model)), times[-1])


def _device(model: Model) -> torch.device:
    return next(model.parameters(), torch.empty(0)).device


@dataclass(frozen=True)
class Drawing:
    """Samples of a model by a sampler, batch by batch; any process may draw any batch."""

    model: Model
    times: list[float]
    sampler: Sampler
    n: int
    seed: int
    batch: int

    @property
    def starts(self) -> range:
        """Number of the first sample of each batch."""
        return range(0, self.n, self.batch)

    @property
    def steps(self) -> int:
        """Steps of each sample."""
        return len(self.times) - 1

    def shape(self, first: int) -> tuple[int, ...]:
        """Shape of the batch that begins with the sample `first`, (B, C, H, W)."""
        return min(self.batch, self.n - first), *self.model.shape

    @torch.no_grad()
    def part(self, first: int, stepped: Callable[[], object] = lambda: None) -> Tensor:
        """The batch that begins with the sample `first`; `stepped` is called after each step."""
        shape = self.shape(first)
        noise = SampleNoise(self.seed, range(first, first + shape[0]))
        x = noise(torch.empty(shape, device=_device(self.model)))
        x = self.model.begin(x, self.times[-1])
        for state in self.sampler.walk(self.model, x, self.times, noise):
            x = state.x
            stepped()
        return (x + 1) / 2


def _parts(drawing: Drawing, progress: bool) -> Iterator[Tensor]:
    with progress_bar(progress, len(drawing.starts) * drawing.steps, label="sample") as bar:
        for first in drawing.starts:
            yield drawing.part(first, bar.update)
