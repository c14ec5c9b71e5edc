"""The data term of counts behind any linear operator, its prox by Newton's method.

`counts.data_terms` makes it, and says what is known of f.
"""

import copy
from collections.abc import Callable

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab.operators.contract import Accuracy, ByProducts, Missed, QuadraticDataTerm
from proxlab.operators.counts.floor import Floor
from proxlab.operators.counts.likelihood import CountLikelihood
from proxlab.operators.data_terms.arguments import scaled
from proxlab.operators.data_terms.missed import reported
from solvers.linear_systems import conjugate_gradient
from solvers.protocols import Image, PerImage, dot, norm, per_image

NEWTON = 20
"""Newton steps of one prox, at most; most take one to three."""
INNER = 0.1
"""Residual of a Newton step's linear system over the gradient that it starts from."""
HALVINGS = 20
"""Times that a Newton step which does not descend is halved."""


def counts_by_products(
    likelihood: CountLikelihood, floor: Floor, op: LinearPhysics, x: Image
) -> ByProducts:
    """E(A x) + d(x), float64 [B], and its gradient, by one product with A and one with A^T."""
    z = op.A(x)
    return ByProducts(
        likelihood.value(z) + floor.value(x),
        op.A_adjoint(likelihood.slope(z)) + floor.grad(x),
        "the likelihood of the counts",
    )


class BlurredCounts:
    """f(x) = sum of E((A x)_i) + d(x) for any linear A: `count_data_term` makes it.

    The prox is where |x - v|^2 / 2 + tau f(x) has no gradient, to tol times the larger of |v| and
    |x|, or to the rounding of tau grad f where that is more: since the first term alone bends by 1,
    x is as near to the prox. Newton's method finds it,
    its systems (I + tau A^T E'' A) d = -gradient solved by conjugate gradients to `INNER`; a step
    that does not descend is halved. It begins at v plus the change of the call before.
    NaN or infinity in an image makes the answer of that image NaN, and of no other.
    `stopped_short` collects the calls in which images missed tol; the first one also warns.
    `inner_steps` counts products with A^T E'' A, of the image that took most.

    >>> noise = proxlab.operators.CameraNoise(gain=1 / 20)
    >>> op = proxlab.operators.deblur(proxlab.operators.gaussian_kernel(1.0), noise=noise)
    >>> y = op(torch.rand(2, 1, 16, 16), generator=torch.Generator().manual_seed(0))
    >>> f = proxlab.data_terms.data_term(y, op)
    >>> x, value = f.prox_and_value(y, 0.01)
    >>> (x - y + 0.01 * f.grad(x)).norm() < 1e-4 * y.norm()   # 0 at the prox
    tensor(True)
    >>> torch.allclose(f.value(x), value), torch.allclose(f.prox(y, 0.01), x, atol=1e-4)
    (True, True)
    >>> f.stopped_short, f.lipschitz() > f.weight, len(f.select(torch.tensor([1])).value(x[1:]))
    ([], tensor([True, True]), 1)
    >>> torch.allclose(f.by_products(op, x).grad, f.grad(x), atol=1e-5)
    True
    """

    def __init__(
        self,
        likelihood: CountLikelihood,
        floor: Floor,
        op: LinearPhysics,
        bound: QuadraticDataTerm,
        accuracy: Accuracy,
    ):
        self.likelihood, self.floor, self.op, self.bound = likelihood, floor, op, bound
        self.tol, self.max_steps = accuracy.tol, accuracy.max_steps
        self.stopped_short: list[Missed] = []
        self.inner_steps = 0
        self._change: Image | None = None
        self._steepest: PerImage | None = None
        self._batch = len(likelihood.counts)
        self._images = torch.arange(self._batch)
        self._rows: Tensor | None = None
        """Places of our images in the operator's batch, if it has parameters for each image."""

    @property
    def weight(self) -> PerImage:
        """strength / m, [B]."""
        return self.likelihood.bound()

    def value(self, x: Image) -> PerImage:
        """f(x), float64 [B]."""
        return self.likelihood.value(self._seen(x)) + self.floor.value(x)

    def grad(self, x: Image) -> Image:
        """A^T E'(A x) + d'(x)."""
        return self._slope(x, self._seen(x))

    def prox(self, v: Image, tau: float | PerImage) -> Image:
        """argmin_x |x - v|^2 / 2 + tau f(x), to tol; warns once if that is not reached."""
        return self.prox_and_value(v, tau)[0]

    def prox_and_value(self, v: Image, tau: float | PerImage) -> tuple[Image, PerImage]:
        """The prox x, and f(x), which its last step has computed."""
        t, loss = per_image(tau, v), self.likelihood
        scaled(tau, loss.strength, v)  # refuses a tau that cannot be
        x = v if self._change is None else v + self._change
        z = self._seen(x)
        value = loss.value(z) + self.floor.value(x)
        tol, steps = self._within(tau, v), 0
        goal = tol * norm(v)
        for k in range(NEWTON + 1):
            g = x - v + t * self._slope(x, z)
            left, goal = norm(g), torch.maximum(goal, tol * norm(x))
            unfinished = left > goal
            if k == NEWTON or steps >= self.max_steps or not unfinished.any():
                break
            bend = t * loss.curvature(z), t * self.floor.curvature(x)
            d, spent = self._newton(g, bend, left, unfinished)
            steps += spent
            x, z, value = self._descended((x, z, value), v, tau, d, dot(g, d))
        self.inner_steps += steps
        broken = ~left.isfinite()
        x = torch.where(per_image(broken, x).bool(), torch.nan, x)
        self._change = torch.where(per_image(broken, x).bool(), 0, x - v).detach()
        missed = (left / goal * self.tol / (1 + 1e-6)).detach().cpu()
        reported(self.stopped_short, missed, self._images, self.tol, (steps, self.max_steps), v)
        return x, value

    def lipschitz(self) -> PerImage:
        """strength / m times |A|^2 + 1/4, [B], |A| from above as of the quadratic term."""
        if self._steepest is None:
            self._steepest = self.bound.lipschitz() + self.floor.stiffness
        return self._steepest

    def by_products(self, op: LinearPhysics, x: Image) -> ByProducts:
        """f(x) and its gradient, by op's products in place of those of our own operator."""
        return counts_by_products(self.likelihood, self.floor, op, x)

    def select(self, index: Tensor) -> "BlurredCounts":
        """The term for the images `index` alone, with their warm start and the same report."""
        chosen = copy.copy(self)
        chosen.likelihood, chosen.bound = self.likelihood.select(index), self.bound.select(index)
        chosen.floor = self.floor.select(index)
        chosen.inner_steps, chosen._images = 0, self._images[index.cpu()]
        chosen._change = None if self._change is None else self._change[index]
        chosen._rows, chosen._steepest = None, None
        count = len(self.likelihood.counts)
        rows = torch.arange(count, device=index.device) if self._rows is None else self._rows
        if any(p.ndim > 2 and len(p) == self._batch > 1 for p in self.op.buffers()):
            chosen._rows = rows.to(index.device)[index]
        return chosen

    def _within(self, tau: float | PerImage, v: Image) -> PerImage:
        """tol, or what rounding leaves of a gradient that is multiplied by tau L. [B]"""
        finest = 8 * torch.finfo(v.dtype).eps * (1 + tau * self.lipschitz())
        return finest.clamp(min=self.tol).to(norm(v))

    def _newton(
        self, g: Image, bend: tuple[Tensor, Image], size: PerImage, unfinished: Tensor
    ) -> tuple[Image, int]:
        """About -(I + tau A^T E'' A + tau d'')^-1 g for the images unfinished, 0 for the others."""
        seen, floor = bend
        wanted = torch.where(per_image(unfinished, g).bool(), -g, 0)
        begun = []

        def matrix(d: Image) -> Image:
            return d + floor * d + self._back(seen * self._forward(d))

        def residual(d: Image) -> Image:
            first = not begun
            begun.append(True)
            return wanted if first else wanted - matrix(d)  # d is 0 at first

        scale = torch.where(unfinished, size, 1.0).to(g.dtype)
        solution = conjugate_gradient(
            matrix,
            residual,
            torch.zeros_like(g),
            scale=scale,
            tol=INNER,
            max_steps=self.max_steps,
        )
        return solution.x, int(solution.steps.max())

    def _descended(
        self,
        at: tuple[Image, Tensor, PerImage],
        v: Image,
        tau: float | PerImage,
        d: Image,
        slope: PerImage,
    ) -> tuple[Image, Tensor, PerImage]:
        """x + h d, A of it and f there: h = 1, halved until |x - v|^2 / 2 + tau f(x) falls."""
        x, z, value = at
        Ad, loss = self._forward(d), self.likelihood
        off, h = dot(x - v, d), torch.ones_like(slope)
        square = dot(d, d)
        for _ in range(HALVINGS):
            now = loss.value(z + per_image(h, z) * Ad) + self.floor.value(x + per_image(h, x) * d)
            change = tau * (now - value) + h * off + h**2 * square / 2
            # float32 does not know a change below its rounding
            noise = torch.finfo(x.dtype).eps * (dot(x - v, x - v) + tau * value + square)
            uphill = change > 1e-4 * h * slope + noise
            if not uphill.any():
                break
            h = torch.where(uphill, h / 2, h)
        return x + per_image(h, x) * d, z + per_image(h, z) * Ad, now

    def _slope(self, x: Image, z: Tensor) -> Image:
        """The gradient at x, z = A x."""
        return self._back(self.likelihood.slope(z)) + self.floor.grad(x)

    def _seen(self, x: Image) -> Tensor:
        z = self._forward(x)
        if z.shape != self.likelihood.counts.shape:
            raise ValueError(
                f"A x has shape {list(z.shape)}, but y has {list(self.likelihood.counts.shape)}"
            )
        return z

    def _forward(self, x: Image) -> Tensor:
        return self._apply(self.op.A, x)

    def _back(self, r: Tensor) -> Image:
        return self._apply(self.op.A_adjoint, r)

    def _apply(self, linear: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        if self._rows is None:
            return linear(x)
        whole = x.new_zeros(self._batch, *x.shape[1:])
        return linear(whole.index_copy(0, self._rows, x))[self._rows]
