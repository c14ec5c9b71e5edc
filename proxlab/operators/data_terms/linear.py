"""The data term of any linear operator, its prox by conjugate gradients up to a tolerance."""

import copy
from collections.abc import Callable
from typing import Protocol

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab.operators.contract import Accuracy, Missed
from proxlab.operators.data_terms.arguments import checked, scaled, squares
from proxlab.operators.data_terms.missed import reported
from proxlab.operators.draws import Draws
from proxlab.operators.noise import Weights
from solvers.linear_systems import conjugate_gradient
from solvers.protocols import Image, PerImage, dot, per_image
from solvers.spectrum import largest_eigenvalue, perron_bound

PRECONDITIONER_PATIENCE = 60
"""Steps of one prox after which the preconditioner is left out for that image: it does not fit."""


class Preconditioner(Protocol):
    """An approximate inverse of I + s A^T A: it saves steps and changes no result."""

    def helps(self, s: Tensor) -> Tensor:
        """True where it is worth its cost, the shape of s."""
        ...

    def solve(self, s: Tensor, r: Image) -> Image:
        """About (I + s A^T A)^-1 r, symmetric and positive definite in r; s [B, 1, 1, 1]."""
        ...


class LinearData:
    """f(x) = w <A x - y, W (A x - y)> / 2 for any linear A.

    The prox solves (I + s A^T W A) x = v + s A^T W y, s = tau w, by conjugate gradients until the
    true residual is below tol times the right-hand side, which bounds |x - prox| by
    tol |v + s A^T W y|. They look for d = x - v, starting at that of the call before: so what A
    does not see, its null space, keeps v exactly however loose tol is.
    `non_negative` says that A has no entry below 0, so that a few products bound L for certain.
    The `preconditioner` helps an image until that once took `PRECONDITIONER_PATIENCE` steps.
    NaN or infinity in v or y of an image makes the answer of that image NaN, and of no other.
    `stopped_short` collects the calls of the prox in which images missed tol, because of max_steps
    or of rounding; the first one also warns. `inner_steps` counts products with A^T W A, of the
    image that took most. Nothing is stored on the physics.

    >>> op = proxlab.operators.ct(16, angles=12, noise=0.1)
    >>> y = op(torch.rand(2, 1, 16, 16))
    >>> f, v = proxlab.data_terms.data_term(y, op), torch.zeros(2, 1, 16, 16)
    >>> x, value = f.prox_and_value(v, 1.0)
    >>> (x - v + f.grad(x)).norm() < 1e-3 * f.grad(v).norm()   # 0 at the prox, to its tolerance
    tensor(True)
    >>> torch.allclose(f.value(x), value, rtol=1e-3), f.stopped_short
    (True, [])
    >>> torch.allclose(f.prox(v, 1.0), x, atol=1e-3)
    True
    >>> f.lipschitz().shape, f.select(torch.tensor([1])).value(x[1:]).shape
    (torch.Size([2]), torch.Size([1]))
    """

    def __init__(
        self,
        y: Tensor,
        op: LinearPhysics,
        weights: Weights,
        accuracy: Accuracy,
        preconditioner: Preconditioner | None = None,
        non_negative: bool = False,
    ):
        self.y, self.op = y, op
        self.weight, self.precision = weights.image, weights.entry
        self.tol, self.max_steps = accuracy.tol, accuracy.max_steps
        self.preconditioner, self.non_negative = preconditioner, non_negative
        self.back: Image = op.A_adjoint(y if self.precision is None else self.precision * y)
        """A^T W y."""
        self.stopped_short: list[Missed] = []
        self.inner_steps = 0
        self._change: Image | None = None
        self._slow = torch.zeros_like(self.weight, dtype=torch.bool)
        self._batch = len(y)
        self._images = torch.arange(len(y))
        self._rows: Tensor | None = None
        """Places of our images in the operator's batch, if it has parameters for each image."""

    def value(self, x: Image) -> PerImage:
        """f(x), float64 [B]."""
        return self._energy(self._misfit(x))

    def grad(self, x: Image) -> Image:
        """w A^T W (A x - y)."""
        return self._back(self._misfit(x)) * per_image(self.weight, x)

    def prox(self, v: Image, tau: float | PerImage) -> Image:
        """argmin_x |x - v|^2 / 2 + tau f(x), to tol; warns once if that is not reached."""
        return self.prox_and_value(v, tau)[0]

    def prox_and_value(self, v: Image, tau: float | PerImage) -> tuple[Image, PerImage]:
        """The prox x, and f(x), which its residual has computed."""
        s = scaled(tau, self.weight, checked(v, self.back.shape))
        right = v + s * self.back
        seen = []

        def residual(d: Image) -> Image:
            misfit = self._misfit(v + d)
            r = -s * self._back(misfit) - d
            seen.append((dot(r, r), self._energy(misfit)))
            return r

        helped, size = self._helped(s), dot(right, right).sqrt()
        solution = conjugate_gradient(
            lambda d: d + s * self._normal(d),
            residual,
            torch.zeros_like(v) if self._change is None else self._change,
            scale=size.clamp(min=torch.finfo(v.dtype).tiny),
            tol=self.tol,
            max_steps=self.max_steps,
            precondition=self._near(s, helped),
        )
        self._change = solution.x.detach()
        # a system with NaN or infinity in it has no solution, though no step is taken from v
        d = torch.where(per_image(size.isfinite(), v).bool(), solution.x, torch.nan)
        self.inner_steps += int(solution.steps.max())
        self._slow = self._slow | helped & (solution.steps > PRECONDITIONER_PATIENCE)
        taken, missed = int(solution.steps.max()), solution.residual.detach().cpu()
        reported(self.stopped_short, missed, self._images, self.tol, (taken, self.max_steps), v)
        sizes, values = (torch.stack(one) for one in zip(*seen, strict=True))
        return v + d, values.gather(0, sizes.argmin(0, keepdim=True))[0]

    def lipschitz(self) -> PerImage:
        """L = w |W^1/2 A|^2, [B], from above: see `solvers.spectrum` for the two bounds."""
        if self.non_negative:
            return self.weight * perron_bound(self._normal, self.back)
        return self.weight * largest_eigenvalue(self._normal, Draws(self.y).normal(self.back))

    def select(self, index: Tensor) -> "LinearData":
        """The term for the images `index` alone, with their warm start and the same report."""
        chosen = copy.copy(self)
        chosen.y, chosen.back, chosen.weight = self.y[index], self.back[index], self.weight[index]
        chosen.precision = None if self.precision is None else self.precision[index]
        chosen.inner_steps, chosen._images = 0, self._images[index.cpu()]
        chosen._slow = self._slow[index]
        chosen._change = None if self._change is None else self._change[index]
        chosen._rows = None
        rows = torch.arange(len(self.y), device=index.device) if self._rows is None else self._rows
        if any(p.ndim > 2 and len(p) == self._batch > 1 for p in self.op.buffers()):
            chosen._rows = rows.to(index.device)[index]
        return chosen

    def _energy(self, misfit: Tensor) -> PerImage:
        r = squares(misfit)
        r = r if self.precision is None else r * self.precision
        return self.weight * r.flatten(1).sum(1) / 2

    def _misfit(self, x: Image) -> Tensor:
        r = self._apply(self.op.A, checked(x, self.back.shape))
        if r.shape != self.y.shape:
            raise ValueError(f"A x has shape {list(r.shape)}, but y has {list(self.y.shape)}")
        return r - self.y

    def _helped(self, s: Tensor) -> Tensor:
        """True for the images that are preconditioned, [B]; each is judged by itself."""
        if self.preconditioner is None:
            return torch.zeros_like(self._slow)
        return self.preconditioner.helps(s).flatten() & ~self._slow

    def _near(self, s: Tensor, helped: Tensor) -> Callable[[Image], Image] | None:
        """The preconditioner for the images that are `helped`, the identity for the others."""
        near = self.preconditioner
        if near is None or not helped.any():
            return None
        chosen = helped.view(-1, 1, 1, 1)
        return lambda r: torch.where(chosen, near.solve(s, r), r)

    def _normal(self, x: Image) -> Image:
        # not op.A_adjoint_A: `operators.checks` asks for A and A_adjoint alone
        return self._back(self._apply(self.op.A, x))

    def _back(self, r: Tensor) -> Image:
        r = r if self.precision is None else r * self.precision
        return self._apply(self.op.A_adjoint, r)

    def _apply(self, linear: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        if self._rows is None:
            return linear(x)
        whole = x.new_zeros(self._batch, *x.shape[1:])
        return linear(whole.index_copy(0, self._rows, x))[self._rows]
