"""One case of a comparison: one prior restores one measured image, and what came of it is a row.

What is measured depends on the image, the problem, the noise and the seed alone, so every prior is
given the same y. A failure is a row too, with a sentence in place of figures.
"""

import copy
import hashlib
import json
import math
import time
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any, NamedTuple

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab import restoration
from proxlab.comparison.found import curves, found
from proxlab.comparison.problems import OfSlices, Problem
from proxlab.images.metrics import has_ssim, psnr, ssim
from proxlab.images.perceptual import Lpips, has_lpips
from proxlab.images.slices import hounsfield_errors
from proxlab.machine import PeakMemory
from proxlab.named_priors import Prior
from proxlab.restoration.data_terms import start
from solvers.primal_dual import HasComposite
from solvers.protocols import HasProxAndValue

EXPECTED = (ValueError, TypeError, RuntimeError, ArithmeticError)
"""Errors whose message is a sentence; of others the kind is told too."""
DEFAULT_SOLVER = "default"
"""Word for the solver that `restore` takes by itself."""
Row = dict[str, Any]
"""A case and what came of it, in types that JSON has: the fields of `Case`, then the figures of
`run_case` or an `error`."""


@dataclass(frozen=True)
class PriorSettings:
    """Arguments that `proxlab.restore` is given for a prior; None leaves the choice to it."""

    weight: float | None = None
    sigma: float | None = None
    steps: int | None = None
    tol: float = 1e-4
    tuned_on: str = ""
    """Record of what was chosen, and on which images; empty if nothing was."""


@dataclass(frozen=True)
class Case:
    """One restoration that is asked for. Two runs of equal cases give the same figures."""

    prior: str
    problem: str
    parameters: dict[str, Any]
    """Fields of the problem."""
    image: str
    """Name of the file."""
    noise: float
    seed: int
    solver: str
    settings: PriorSettings

    @property
    def key(self) -> str:
        """JSON of the case, the same for equal cases."""
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def measurement(self) -> str:
        """JSON of what the case has in common with those of other priors."""
        shared = self.problem, self.parameters, self.image, self.noise, self.seed
        return json.dumps(shared, sort_keys=True)


def parameters(problem: Problem) -> dict[str, Any]:
    """Fields of a problem by name; none of an object that is no dataclass."""
    if not is_dataclass(problem) or isinstance(problem, type):
        return {}
    return asdict(problem)


def measure(
    case: Case, problem: Problem, truth: Tensor, device: str = "cpu"
) -> tuple[Tensor, LinearPhysics]:
    """Measurement y of the case, and its operator; truth is [1, C, H, W].

    Noise and masks are drawn on the CPU and so are the same on every device.
    """
    digest = hashlib.sha256(case.measurement.encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    op = problem.operator(truth.shape[-2:], case.noise, generator)
    return op(truth, generator=generator).to(device), op.to(device)


class Counted:
    """A prior that counts how many images its prox is asked about, in `count[0]`.

    One that is solved without its prox, as g(K x), counts nothing.

    It passes on what a restoration of one image asks for, and no more: an image alone is never
    selected from a batch.
    """

    def __init__(self, prior: Prior, count: list[int]):
        self.name, self.sigma_range = prior.name, prior.sigma_range
        self.capabilities = prior.capabilities
        self._prior, self._count = prior, count
        if isinstance(prior, HasProxAndValue):
            self.prox_and_value = self._prox_and_value
        if isinstance(prior, HasComposite):
            self.composite = prior.composite

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """The prior's."""
        self._count[0] += len(v)
        return self._prior.prox(v, sigma)

    def _prox_and_value(self, v: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor | None]:
        assert isinstance(self._prior, HasProxAndValue)
        self._count[0] += len(v)
        return self._prior.prox_and_value(v, sigma)


class Outcome(NamedTuple):
    """The end of a case. Images are [1, C, H, W]; all but the row is None for a failure."""

    row: Row
    image: Tensor | None = None
    plain: Tensor | None = None
    """First estimate, from which solvers start."""
    curves: dict[str, Any] | None = None
    """See `found.curves`."""
    measured: Tensor | None = None
    """The measurement y."""
    op: LinearPhysics | None = None
    """The operator that it is of."""


def failed(case: Case, error: Exception) -> Row:
    """Row of a case of which nothing came, with a sentence in place of figures."""
    said = " ".join(str(error).split())
    if not said or not isinstance(error, EXPECTED):
        said = f"{type(error).__name__}: {said}".removesuffix(": ")
    return asdict(case) | {"error": said}


def run_case(
    case: Case,
    problem: Problem,
    prior: Prior,
    truth: Tensor,
    device: str = "cpu",
    judge: Lpips | None = None,
) -> Outcome:
    """Restore the image of a case; truth is [1, C, H, W]. The row has figures, or an `error`.

    PSNR is in dB. Seconds are those of the restoration alone, peak memory is in MiB beyond what was
    held before. A figure that is not finite is None in the row; a PSNR that is not is a failure.
    SSIM is None of an image that is too small for it, LPIPS also where no `judge` is given. Of
    slices (`OfSlices`) there are errors in Hounsfield units too, hu_rmse, hu_bias and hu_noise.
    """
    row: Row = asdict(case)
    try:
        y, op = measure(case, problem, truth, device)
        plain, count = start(y, op).cpu(), [0]
        with PeakMemory(device) as memory:
            began = time.perf_counter()
            result = restoration.restore(
                y,
                op,
                # a copy: a prior may remember the last image (TV its dual), and order is chance
                Counted(copy.deepcopy(prior), count),
                restoration.Settings(
                    solver=None if case.solver == DEFAULT_SOLVER else case.solver,
                    sigma=case.settings.sigma,
                    steps=case.settings.steps,
                    tol=case.settings.tol,
                    weight=case.settings.weight,
                ),
            )
            image = result.image.cpu()  # which waits for a device
            seconds = time.perf_counter() - began
    except Exception as error:  # whatever somebody's prior or problem raises: others go on
        return Outcome(failed(case, error))
    figures = {
        "psnr_plain": float(psnr(plain, truth)),
        "psnr": float(psnr(image, truth)),
        "ssim": float(ssim(image, truth)) if has_ssim(truth) else None,
        "lpips": float(judge(image, truth)) if judge and has_lpips(truth) else None,
        **_in_hounsfield(problem, image, truth),
        **found(result),
        "evaluations": count[0],
        "seconds": seconds,
        "peak_mib": memory.peak,
    }
    if not math.isfinite(figures["psnr"]):
        error = ValueError(f"PSNR is {figures['psnr']}, which no table can hold")
        return Outcome(failed(case, error))
    finite = {
        name: None if isinstance(x, float) and not math.isfinite(x) else x
        for name, x in figures.items()
    }
    return Outcome(row | finite, image, plain, curves(result), y.cpu(), op)


def _in_hounsfield(problem: Problem, image: Tensor, truth: Tensor) -> Row:
    if not isinstance(problem, OfSlices):
        return {}
    errors = hounsfield_errors(image, truth, problem.hounsfield)
    return {f"hu_{name}": float(vars(errors)[name]) for name in ("rmse", "bias", "noise")}
