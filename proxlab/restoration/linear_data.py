"""The data term of any linear operator, its prox by conjugate gradients up to a tolerance."""

import warnings
from functools import partial

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab.restoration.arguments import checked, scaled, squares
from proxlab.restoration.ct_preconditioner import Circulant
from solvers.linear_systems import conjugate_gradient
from solvers.protocols import Image, PerImage, dot, per_image

PATIENCE = 60
"""Steps after which a preconditioner is not what the operator needs."""


class LinearData:
    """A is any linear physics: the prox solves (I + s A^T A) x = v + s A^T y, s = tau w.

    With `precision` W >= 0, the shape of y, f = w <A x - y, W (A x - y)> / 2, and A^T W takes the
    place of A^T. `back` is A^T W y.

    By conjugate gradients until the true residual is below tol times the right-hand side, which
    bounds |x - prox| by tol |v + s A^T y|. They look for d = x - v, starting at that of the call
    before: so what A does not see, its null space, keeps v exactly however loose tol is.
    `circulant` preconditions those of an image until that once took more than PATIENCE steps.
    `stopped_short` collects the worst residual of every prox that missed tol, because of max_steps
    or of rounding; the first one also warns. `inner_steps` counts products with A^T A, of the image
    that took most. Nothing is stored on the physics.
    """

    def __init__(
        self,
        y: Tensor,
        op: LinearPhysics,
        weight: PerImage,
        back: Image,
        *,
        tol: float,
        max_steps: int,
        circulant: Circulant | None = None,
        precision: Tensor | None = None,
    ):
        self.y, self.op, self.weight, self.back = y, op, weight, back
        self.tol, self.max_steps, self.circulant = tol, max_steps, circulant
        self.precision = precision
        self.stopped_short: list[float] = []
        self.inner_steps = 0
        self._change: Image | None = None
        self._slow = torch.zeros_like(weight, dtype=torch.bool)
        self._batch = len(y)
        self._rows: Tensor | None = None
        """Where our images sit in the operator's batch, if it has parameters for each image."""

    def value(self, x: Image) -> PerImage:
        """f(x), float64 [B]."""
        return self._energy(self._misfit(x))

    def grad(self, x: Image) -> Image:
        """w A^T W (A x - y)."""
        return per_image(self.weight, x) * self._back(self._misfit(x))

    def prox(self, v: Image, tau: float | PerImage) -> Image:
        """argmin_x |x - v|^2 / 2 + tau f(x), to tol; warns once if that is not reached."""
        return self.prox_and_value(v, tau)[0]

    def prox_and_value(self, v: Image, tau: float | PerImage) -> tuple[Image, PerImage]:
        """The prox x, and f(x), which its residual has computed."""
        s = scaled(tau, self.weight, v)
        right = checked(v, self.back.shape) + s * self.back
        helped, seen = self._helped(s), []

        def residual(d: Image) -> Image:
            misfit = self._misfit(v + d)
            r = -s * self._back(misfit) - d
            seen.append((dot(r, r), self._energy(misfit)))
            return r

        solution = conjugate_gradient(
            lambda d: d + s * self._normal(d),
            residual,
            torch.zeros_like(v) if self._change is None else self._change,
            scale=dot(right, right).sqrt().clamp(min=torch.finfo(v.dtype).tiny),
            tol=self.tol,
            max_steps=self.max_steps,
            precondition=partial(self._near, s, helped) if helped.any() else None,
        )
        self._change = solution.x.detach()
        self.inner_steps += int(solution.steps.max())
        self._slow = self._slow | helped & (solution.steps > PATIENCE)
        self._report(solution.residual.detach().max().item(), int(solution.steps.max()))
        sizes, values = (torch.stack(one) for one in zip(*seen, strict=True))
        return v + solution.x, values.gather(0, sizes.argmin(0, keepdim=True))[0]

    def lipschitz(self, steps: int = 100) -> PerImage:
        """w |W^1/2 A|^2, [B], from above: the power method's estimate plus its residual."""
        noise = torch.sin(torch.arange(self.back[0].numel(), dtype=torch.float64) + 1) * 43758.5453
        u = (0.5 + noise.frac()).to(self.back).view_as(self.back[0])  # no seed, every frequency
        u = u.expand_as(self.back)
        for _ in range(steps):
            u = u / per_image(dot(u, u).sqrt().clamp(min=torch.finfo(u.dtype).tiny), u)
            image = self._normal(u)
            estimate = dot(u, image)
            rest = image - per_image(estimate, u) * u
            error = dot(rest, rest).sqrt()
            if (error <= 1e-3 * estimate).all():
                break
            u = image
        return self.weight * (estimate + error)

    def select(self, index: Tensor) -> "LinearData":
        """The term for the images `index` alone, with their warm start and the same report."""
        chosen = LinearData(
            self.y[index],
            self.op,
            self.weight[index],
            self.back[index],
            tol=self.tol,
            max_steps=self.max_steps,
            circulant=self.circulant,
            precision=None if self.precision is None else self.precision[index],
        )
        chosen.stopped_short = self.stopped_short
        chosen._slow = self._slow[index]
        chosen._change = None if self._change is None else self._change[index]
        chosen._batch = self._batch
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
        """Which images are preconditioned, [B]; what the others need does not decide."""
        if self.circulant is None:
            return torch.zeros_like(self._slow)
        return self.circulant.helps(s).flatten() & ~self._slow

    def _near(self, s: Tensor, helped: Tensor, r: Image) -> Image:
        return torch.where(helped.view(-1, 1, 1, 1), self.circulant.solve(s, r), r)

    def _normal(self, x: Image) -> Image:
        if self.precision is not None:
            return self._back(self._apply(self.op.A, x))
        return self._apply(self.op.A_adjoint_A, x)

    def _back(self, r: Tensor) -> Image:
        r = r if self.precision is None else r * self.precision
        return self._apply(self.op.A_adjoint, r)

    def _apply(self, linear, x: Tensor) -> Tensor:
        if self._rows is None:
            return linear(x)
        whole = x.new_zeros(self._batch, *x.shape[1:])
        return linear(whole.index_copy(0, self._rows, x))[self._rows]

    def _report(self, residual: float, steps: int) -> None:
        if residual <= self.tol:
            return
        if not self.stopped_short:
            why = "max_steps" if steps >= self.max_steps else f"rounding in {self.y.dtype}"
            warnings.warn(
                f"the prox of the data term stopped short of tol = {self.tol:g} at a relative "
                f"residual of {residual:.1e} after {steps} steps, because of {why}; raise max_steps"
                " or tol, or take a smaller tau (said once, all are counted in stopped_short)",
                stacklevel=3,
            )
        self.stopped_short.append(residual)
