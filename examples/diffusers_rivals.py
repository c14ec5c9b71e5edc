"""Rival samplers, DDIM, DPM-Solver++, UniPC and Heun, by the schedulers of diffusers.

They are driven by any noise predictor noise(x, t) -> E[e | x_t = x] with t in (0, 1]: that of a
mixture, see `predictor`, or a network. All of them walk the probability flow, without fresh noise.

    *_, last = RIVALS["DPM-Solver++ 2M, Karras"].walk(noise, x, evaluations=10)

How the schedulers are told of the diffusion:
- The continuous schedule becomes T betas, alphas_cumprod[k] = a((k + 1) / T), so that timestep k is
  the time (k + 1) / T. T is the first multiple of the steps N from 1000 on: DDIM steps by T / N
  rounded down, and is lost where that rounds much. Schedulers with sigmas round the timesteps that
  go with them, so the time is read from the sigma instead, exactly; DDIM's timesteps are whole.
- All samplers get x ~ N(0, I) at t = 1. Heun works on x / sqrt(a), so there x is divided first.
- All of them end at t = 0 itself: set_alpha_to_one for DDIM, a last sigma of zero for the rest.

The settings are the best of those tried: spacings linspace, trailing and leading; Karras,
exponential, beta and Lu's sigmas; both solver types; orders 1 to 3; Euler at the end. They were
judged by the geometric mean of W2 at 5, 7, 10 and 20 evaluations, with 1000 samples and 3 seeds, on
the dino and on the mixture of four Gaussians of sample_proxdm_2d.py. Dino / mixture:
- DPM-Solver++ 2M: Karras 0.099 / 0.197, even steps of log sigma (Lu) 0.099 / 0.185, uniform time
  0.159 / 0.191 at best. Karras is ahead at 5 evaluations, 0.105 against 0.196 on the dino, and
  log sigma from 7 on, so that both are kept. Order 3 and solver type heun lose by a fifth.
- UniPC: the same, 0.101 / 0.199 and 0.099 / 0.178; bh1 divides by zero where sigma ends at zero.
- DDIM: linspace 0.141 / 0.221, trailing 0.191 / 0.237, leading 0.194 / 0.234. Linspace evaluates
  the network T / (N - 1) apart and steps by T / N: wrong to first order, yet better here.
- Heun: trailing 0.264 / 0.283; Karras, his own choice, 0.304 / 1.17: 3 steps are too few for it.
"""

import importlib.util
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from proxlab.priors.exact.mixtures import Mixture
from solvers import VP
from solvers.diffusion.proximal import Sample

TRAINED_STEPS = 1000
"""Least T. Where sigmas are Karras's, or even in log sigma, the last step to zero starts from
sigma(1 / T), about 0.0105."""

Noise = Callable[[Tensor, float], Tensor]
"""Noise predictor, (x [B, ...], t) -> E[e | x_t = x]."""


@dataclass(frozen=True)
class Rival:
    """A sampler: a scheduler of diffusers, by the name of its class, with its settings."""

    scheduler: str
    settings: dict = field(default_factory=dict)
    costs: int = 1
    """Evaluations of the network in a step; the last step costs one in any case."""

    def steps(self, evaluations: int) -> int:
        """Most steps that cost no more than so many evaluations."""
        return (evaluations + self.costs - 1) // self.costs

    def spent(self, evaluations: int) -> int:
        """Evaluations that are made of so many: one less for Heun if they are even."""
        return self.costs * (self.steps(evaluations) - 1) + 1

    def walk(
        self, noise: Noise, x: Tensor, evaluations: int, schedule: VP = VP()
    ) -> Iterator[Sample]:
        """States from x ~ N(0, I), [B, ...], on, one after each evaluation; the last is the sample.

        They are float32, which the schedulers compute in. Raises ValueError for fewer than 2
        evaluations or more than 1000, RuntimeError if not `spent(evaluations)` of them would be
        made, and ModuleNotFoundError without diffusers.
        """
        if not 2 <= evaluations <= TRAINED_STEPS:
            raise ValueError(
                f"a rival takes 2 to {TRAINED_STEPS} evaluations of the network, got {evaluations}"
            )
        return self._walk(noise, x.float(), evaluations, schedule)

    def sample(self, noise: Noise, x: Tensor, evaluations: int, schedule: VP = VP()) -> Tensor:
        """Last state of `walk`, [B, ...]; raises as `walk` does."""
        *_, last = self.walk(noise, x, evaluations, schedule)
        return last.x

    def on(self, noise: Noise, x: Tensor, times: Sequence[float], schedule: VP = VP()) -> Tensor:
        """Samples of p_0, [B, ...], from x at the last of the times down to the first, 0.

        For the multistep solvers, whose sigmas may be any. Raises ModuleNotFoundError as `walk`.
        """
        sigmas = [(schedule.noise(t) / schedule.signal(t)) ** 0.5 for t in reversed(times)]
        plan = self._made(schedule, len(times) - 1)
        plan.set_timesteps(len(times) - 1)
        plan.sigmas = torch.tensor(sigmas)
        plan.set_begin_index(0)
        x = x.float()
        for step, t in zip(plan.timesteps, reversed(times[1:]), strict=True):
            x = plan.step(noise(x, t).to(x.dtype), step, x).prev_sample
        return x

    def _walk(self, noise, x: Tensor, evaluations: int, schedule: VP) -> Iterator[Sample]:
        plan = self._made(schedule, self.steps(evaluations))
        plan.set_timesteps(self.steps(evaluations))
        times = _times(plan, schedule)
        if len(times) - 1 != self.spent(evaluations):
            raise RuntimeError(
                f"{self.scheduler} would make {len(times) - 1} evaluations of the network, not "
                f"{self.spent(evaluations)}; look at its settings"
            )
        if hasattr(plan, "set_begin_index"):
            # Timesteps that were rounded to the same number would be looked up as one.
            plan.set_begin_index(0)
        # Heun's coordinates, in which noise is only added; scale_model_input is the way back.
        inflated = plan.sigmas[0].square().add(1).sqrt() if self.costs == 2 else 1.0
        x = x * inflated
        for step, (t, s) in zip(plan.timesteps, pairwise(times), strict=True):
            predicted = noise(plan.scale_model_input(x, step), t).to(x.dtype)
            x = plan.step(predicted, step, x).prev_sample
            yield Sample(x if self.costs == 1 else x * schedule.signal(s) ** 0.5, s)

    def _made(self, schedule: VP, steps: int):
        if importlib.util.find_spec("diffusers") is None:
            raise ModuleNotFoundError(
                "the rival samplers are those of diffusers, which is not installed: "
                "pip install 'proxlab[benches]'"
            )
        import diffusers

        trained = steps * math.ceil(TRAINED_STEPS / steps)
        ends = [k / trained for k in range(trained + 1)]
        betas = [-math.expm1(-schedule.integral(s, t)) for s, t in pairwise(ends)]
        made = getattr(diffusers, self.scheduler)
        return made(num_train_timesteps=trained, trained_betas=betas, **self.settings)


def _times(plan, schedule: VP) -> list[float]:
    """Times at which the network is evaluated, and 0 at the end."""
    if not hasattr(plan, "sigmas"):
        trained = plan.config.num_train_timesteps
        return [(int(k) + 1) / trained for k in plan.timesteps] + [0.0]
    # The first sigma, in float32, may lie beyond that of t = 1.
    return [min(1.0, schedule.time_of_noise(sigma)) for sigma in plan.sigmas.tolist()]


RIVALS = {
    "DDIM": Rival("DDIMScheduler", {"timestep_spacing": "linspace", "clip_sample": False}),
    "DPM-Solver++ 2M, Karras": Rival("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "DPM-Solver++ 2M, log sigma": Rival("DPMSolverMultistepScheduler", {"use_lu_lambdas": True}),
    "UniPC, Karras": Rival("UniPCMultistepScheduler", {"use_karras_sigmas": True}),
    "UniPC, log sigma": Rival("UniPCMultistepScheduler", {"use_exponential_sigmas": True}),
    "Heun": Rival("HeunDiscreteScheduler", {"timestep_spacing": "trailing"}, costs=2),
}
"""Samplers by name."""


def predictor(target: Mixture, schedule: VP = VP()) -> Noise:
    """Exact noise predictor of a mixture, E[e | x_t = x] = -sqrt(1 - a) score, [N, d] -> [N, d]."""

    def noise(x: Tensor, t: float) -> Tensor:
        slope = target.at(t, schedule).score(x.to(target.means))
        return -(schedule.noise(t) ** 0.5) * slope

    return noise
