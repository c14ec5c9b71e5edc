"""The denoiser that a learned prox of a diffusion makes, for every noise level that it knows.

A prox of -lam log p_t is asked where lam is little of the noise in y: there it is the posterior
mean to first order, y + lam grad log p_t(y), and what it takes away, made larger by the noise over
lam, is all of the noise.
"""

from torch import Tensor

from proxlab.diffusion.models import ProxDM

BISECTIONS = 50


class ProxMean:
    """E[x_0 | x_0 + sigma e] by the prox of a `ProxDM`, for images in [-1, 1].

    It is asked at the (t, lam) of uniform hybrid steps, as many as the most that it is trained for.
    Below the noise of the last of them t = 0 and lam = sigma^2: the prox of -log p_0 itself.
    """

    def __init__(self, model: ProxDM):
        self.model, self.step = model, 1 / max(model.steps)

    @property
    def least(self) -> float:
        """The least sigma that the prox knows."""
        return self.model.lambda_range[0] ** 0.5

    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        """The mean of the clean images [B, C, S, S]; a sigma below `least` counts as that."""
        schedule = self.model.schedule
        t, lam = 0.0, max(sigma**2, self.model.lambda_range[0])
        if self._total(0.0) < sigma**2:
            low, high = 0.0, 1.0
            for _ in range(BISECTIONS):
                t = (low + high) / 2
                low, high = (t, high) if self._total(t) < sigma**2 else (low, t)
            lam = schedule.integral(t, t + self.step)
        root, noise = schedule.signal(t) ** 0.5, schedule.noise(t) + lam
        y = root * x
        return x + (self.model.prox(y, t, lam) - y) * (noise / lam / root)

    def _total(self, t: float) -> float:
        """Squared noise over signal where the prox is asked at t."""
        schedule = self.model.schedule
        return (schedule.noise(t) + schedule.integral(t, t + self.step)) / schedule.signal(t)
