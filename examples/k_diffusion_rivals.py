"""Rival samplers of Karras's group of methods, by the code of k-diffusion, on any grid of times.

They are driven by any denoiser, denoise(u, sigma) -> E[x_0 | x_0 + sigma e = u], and start from any
x distributed as X_t at the last of the times, so that a rival can have our start and our levels:

    last = RIVALS["EDM, stochastic Heun"].sample(model.denoise, x, times, noise)

"Euler ancestral" is ancestral sampling [Ho20], "SDE-DPM-Solver++ 2M" is [Lu22] with fresh noise,
"EDM, stochastic Heun" Algorithm 2 of [Karras22]. DDIM [Song21b] is Euler's method of the
probability flow in sigma, so "Euler" is DDIM.
"""

import importlib
import importlib.util
import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from solvers import VP
from solvers.noise import Noise, normal_like

Denoise = Callable[[Tensor, float], Tensor]


@dataclass(frozen=True)
class KRival:
    """A sampler: a function of k_diffusion.sampling, by its name, with its settings."""

    function: str
    settings: dict = field(default_factory=dict)
    costs: int = 1
    """Evaluations of the network in a step; the last step costs one in any case."""
    churn: float = 0.0
    """Relative rise of sigma by fresh noise before each of Heun's steps, at most sqrt(2) - 1."""
    fresh: bool = False
    """Whether it takes a source of fresh noise. The noise of Heun's churn is torch's own, so its
    samples depend on the batch."""

    def sample(
        self,
        denoise: Denoise,
        x: Tensor,
        times: Sequence[float],
        noise: Noise = None,
        schedule: VP = VP(),
    ) -> Tensor:
        """Samples of p_0, [B, ...], from x at the last of the times down to the first, 0.

        Raises ModuleNotFoundError without k-diffusion.
        """
        sigmas = [(schedule.noise(t) / schedule.signal(t)) ** 0.5 for t in reversed(times)]
        root = schedule.signal(times[-1]) ** 0.5
        settings = dict(self.settings)
        if self.fresh:
            settings["noise_sampler"] = lambda before, after: normal_like(x, noise)
        if self.churn:
            settings["s_churn"] = self.churn * (len(times) - 1)

        def model(u: Tensor, sigma: Tensor) -> Tensor:
            return denoise(u, float(sigma[0]))

        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            made = vars(_sampling())[self.function]
            return made(model, x / root, torch.tensor(sigmas).to(x), disable=True, **settings)


RIVALS = {
    "DDIM": KRival("sample_euler"),
    "Euler ancestral": KRival("sample_euler_ancestral", fresh=True),
    "DPM-Solver++ 2M": KRival("sample_dpmpp_2m"),
    "SDE-DPM-Solver++ 2M": KRival("sample_dpmpp_2m_sde", fresh=True),
    "Heun": KRival("sample_heun", costs=2),
    "EDM, stochastic Heun": KRival("sample_heun", costs=2, churn=0.2),
}
"""Samplers by name, with the settings of their papers but for the churn, which is to be chosen."""


def _sampling():
    """The module k_diffusion.sampling alone: the package as a whole wants wandb and much more."""
    if "k_diffusion" not in sys.modules:
        spec = importlib.util.find_spec("k_diffusion")
        if spec is None:
            raise ModuleNotFoundError(
                "these rival samplers are those of k-diffusion, which is not installed: "
                "pip install --no-deps k-diffusion && pip install torchsde torchdiffeq"
            )
        package = types.ModuleType("k_diffusion")
        package.__path__ = list(spec.submodule_search_locations or [])
        sys.modules["k_diffusion"] = package
    return importlib.import_module("k_diffusion.sampling")
