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

from proxlab.comparison.problems import Problem
from proxlab.images.metrics import psnr, ssim
from proxlab.images.perceptual import lpips
from proxlab.machine import PeakMemory
from proxlab.restoration import Restoration, restore
from proxlab.restoration.data_terms import start


@dataclass(frozen=True)
class Settings:
    """How a prior is used, as the arguments of `proxlab.restore`; None is its default."""

    weight: float | None = None
    sigma: float | None = None
    steps: int = 400
    tol: float = 1e-4
    tuned_on: str = ""
    """What weight and sigma were chosen on, for the record; empty if they were not."""


@dataclass(frozen=True)
class Case:
    """What tells one row from another; two runs of a case give the same figures."""

    prior: str
    problem: str
    parameters: dict[str, Any]
    """Fields of the problem."""
    image: str
    """Name of the file."""
    noise: float
    seed: int
    solver: str
    settings: Settings

    @property
    def key(self) -> str:
        """The case as JSON, in one form."""
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def measurement(self) -> str:
        """What it shares with the other priors, as JSON."""
        shared = self.problem, self.parameters, self.image, self.noise, self.seed
        return json.dumps(shared, sort_keys=True)


def parameters(problem: Problem) -> dict[str, Any]:
    """Its fields by name; an object that is no dataclass is told by its name alone."""
    return asdict(problem) if is_dataclass(problem) else {}


def measure(
    case: Case, problem: Problem, truth: Tensor, device: str = "cpu"
) -> tuple[Tensor, LinearPhysics]:
    """(y, operator) of the case, drawn on the CPU and so the same on every device."""
    digest = hashlib.sha256(case.measurement.encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    op = problem.operator(truth.shape[-2:], case.noise, generator)
    return op(truth, generator=generator).to(device), op.to(device)


class Counted:
    """A prior that counts how many images its network is asked about."""

    def __init__(self, prior, count: list[int]):
        self._prior, self._count = prior, count

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        self._count[0] += len(v)
        return self._prior.prox(v, sigma)

    def __getattr__(self, name: str):
        value = getattr(self._prior, name)  # AttributeError where the prior has none

        def counted(v: Tensor, sigma: float | Tensor):
            self._count[0] += len(v)
            return value(v, sigma)

        match name:
            case "prox_and_value":
                return counted
            case "select":
                return lambda index: Counted(value(index), self._count)
            case _:
                return value


class Outcome(NamedTuple):
    """Of a case; the images are [1, C, H, W], None where it failed."""

    row: dict[str, Any]
    image: Tensor | None
    plain: Tensor | None
    """The estimate without a prior that solvers start from."""
    curves: dict[str, Any] | None
    """Objective (None without a value) and residual, a number a step, and steps of the descent."""


def run_case(case: Case, problem: Problem, prior, truth: Tensor, device: str = "cpu") -> Outcome:
    """Restore; truth [1, C, H, W]. The row has figures, or `error` where there are none.

    PSNR in dB; seconds for the restoration alone; peak memory in MiB, beyond what was held before;
    None for a figure that is not finite.
    """
    row: dict[str, Any] = asdict(case)
    try:
        y, op = measure(case, problem, truth, device)
        plain, count = start(y, op).cpu(), [0]
        with PeakMemory(device) as memory:
            began = time.perf_counter()
            result = restore(
                y,
                op,
                # a copy: a prior may remember the last image (TV its dual), and order is chance
                Counted(copy.deepcopy(prior), count),
                case.solver,
                sigma=case.settings.sigma,
                steps=case.settings.steps,
                tol=case.settings.tol,
                weight=case.settings.weight,
            )
            if device != "cpu":
                torch.cuda.synchronize(device)
            seconds = time.perf_counter() - began
    except (ValueError, TypeError, RuntimeError, ArithmeticError, MemoryError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        return Outcome(row | {"error": said}, None, None, None)
    image = result.image.cpu()
    figures = {
        "psnr_plain": float(psnr(plain, truth)),
        "psnr": float(psnr(image, truth)),
        "ssim": float(ssim(image, truth)),
        "lpips": None if (seen := lpips(image, truth)) is None else float(seen),
        **_found(result, case.solver),
        "evaluations": count[0],
        "seconds": seconds,
        "peak_mib": memory.peak,
    }
    if not math.isfinite(figures["psnr"]):
        said = f"PSNR is {figures['psnr']}, which no table can hold"
        return Outcome(row | {"error": said}, None, None, None)
    finite = {
        name: None if isinstance(x, float) and not math.isfinite(x) else x
        for name, x in figures.items()
    }
    return Outcome(row | finite, image, plain, _curves(result))


def _found(result: Restoration, solver: str) -> dict[str, Any]:
    """The objective is misfit + R / sigma^2, but for `hqs`, which adds the splitting energy."""
    last = int(result.steps[0]) - 1
    misfit, objective, value = float(result.trace.data_misfit[last, 0]), None, None
    if result.trace.objective is not None:
        objective = float(result.trace.objective[last, 0])
        value = None if solver == "hqs" else (objective - misfit) * result.sigma**2
    return {
        "sigma": result.sigma,
        "misfit": misfit,
        "prior_value": value,
        "objective": objective,
        "residual": float(result.trace.residual[last, 0]),
        "iterations": int(result.steps[0]),
        "stopped": result.stopped[0],
        "certified": result.certified[0],
        "doubt": result.doubts[0],
    }


def _curves(result: Restoration) -> dict[str, Any]:
    last, trace = int(result.steps[0]), result.trace
    objective = None if trace.objective is None else trace.objective[:last, 0].tolist()
    return {
        "descent": result.descent,
        "objective": objective,
        "residual": trace.residual[:last, 0].tolist(),
    }
