"""Small data terms and priors with closed forms, and wrong ones, for tests of the solvers."""

from dataclasses import dataclass, field

import torch
from torch import Tensor


def column(tau: float | Tensor) -> float | Tensor:
    return tau[:, None] if isinstance(tau, Tensor) and tau.ndim else tau


def soft(v: Tensor, t: float | Tensor) -> Tensor:
    return v.sign() * (v.abs() - t).clamp(min=0)


@dataclass(frozen=True)
class Quadratic:
    """f(x) = |A_b x - y_b|^2 / 2, with a dense A [B, m, n] and y [B, m]."""

    A: Tensor
    y: Tensor

    def value(self, x: Tensor) -> Tensor:
        return ((self.A @ x[..., None])[..., 0] - self.y).square().sum(1) / 2

    def grad(self, x: Tensor) -> Tensor:
        return (self.A.mT @ (self.A @ x[..., None] - self.y[..., None]))[..., 0]

    def prox(self, v: Tensor, tau: float | Tensor) -> Tensor:
        t = tau[:, None, None] if isinstance(tau, Tensor) and tau.ndim else tau
        right = v[..., None] + t * self.A.mT @ self.y[..., None]
        return torch.linalg.solve(torch.eye(v.shape[1]).to(v) + t * self.A.mT @ self.A, right)[
            ..., 0
        ]

    def select(self, index: Tensor) -> "Quadratic":
        return Quadratic(self.A[index], self.y[index])

    def lipschitz(self) -> float:
        return float(torch.linalg.matrix_norm(self.A, 2).max() ** 2)


def zeros(f: Quadratic) -> Tensor:
    """Where its solvers start, [B, n]."""
    return f.y.new_zeros(len(f.y), f.A.shape[2])


@dataclass(frozen=True)
class Stubborn:
    """A quadratic that keeps its data per image and cannot select."""

    inner: Quadratic

    def value(self, x: Tensor) -> Tensor:
        return self.inner.value(x)

    def grad(self, x: Tensor) -> Tensor:
        return self.inner.grad(x)

    def prox(self, v: Tensor, tau: float | Tensor) -> Tensor:
        return self.inner.prox(v, tau)


@dataclass(frozen=True)
class L1:
    """g(x) = w |x|_1; `sizes` notes the batch of every call."""

    w: float
    sizes: list[int] = field(default_factory=list, repr=False)

    def value(self, x: Tensor) -> Tensor:
        return self.w * x.abs().sum(1)

    def prox(self, v: Tensor, tau: float | Tensor) -> Tensor:
        self.sizes.append(len(v))
        return soft(v, column(tau) * self.w)

    def select(self, index: Tensor) -> "L1":
        return self


@dataclass(frozen=True)
class Laplace:
    """g(x) = |x|_1 / b as a learned network gives it: a prox grad psi, its value from psi."""

    b: float

    def prox(self, v: Tensor, tau: float | Tensor) -> Tensor:
        return soft(v, column(tau) / self.b)

    def prox_and_value(self, v: Tensor, tau: float | Tensor) -> tuple[Tensor, Tensor]:
        x = self.prox(v, tau)
        psi = x.square().sum(1) / 2
        return x, ((v * x).sum(1) - x.square().sum(1) / 2 - psi) / tau


@dataclass(frozen=True)
class Ridge:
    """g(x) = w |x|^2 / 2."""

    w: float

    def value(self, x: Tensor) -> Tensor:
        return self.w * x.square().sum(1) / 2

    def prox(self, v: Tensor, tau: float | Tensor) -> Tensor:
        return v / (1 + column(tau) * self.w)


@dataclass(frozen=True)
class L0:
    """g(x) = w |x|_0: not convex, not continuous, its prox exact all the same."""

    w: float

    def value(self, x: Tensor) -> Tensor:
        return self.w * (x != 0).sum(1).double()

    def prox(self, v: Tensor, tau: float | Tensor) -> Tensor:
        return torch.where(v.square() > 2 * column(tau) * self.w, v, 0.0)


@dataclass(frozen=True)
class WrongL0(L0):
    """Planted: forgets the 2, so it keeps entries that are dearer than they are worth."""

    def prox(self, v: Tensor, tau: float | Tensor) -> Tensor:
        return torch.where(v.square() > 0.1 * column(tau) * self.w, v, 0.0)


@dataclass(frozen=True)
class Valueless:
    """g known by its prox alone."""

    inner: L1 | Ridge

    def prox(self, v: Tensor, tau: float | Tensor) -> Tensor:
        return self.inner.prox(v, tau)


def problem(
    batch: int = 1, m: int = 30, n: int = 20, seed: int = 0, scale: float = 1.0
) -> Quadratic:
    """A random dense quadratic of condition about 10, float64."""
    rng = torch.Generator().manual_seed(seed)
    A = torch.randn(batch, m, n, generator=rng, dtype=torch.float64) / m**0.5
    return Quadratic(A, scale * torch.randn(batch, m, generator=rng, dtype=torch.float64))
