"""The contract of an operator: what one of ours brings beyond deepinv's `LinearPhysics`.

    class Halved(LinearPhysics):
        def A(self, x): return x / 2
        def A_adjoint(self, y): return y / 2

        def usable(self, y): return y
        def data_term(self, y, weights, accuracy): return LinearData(y, self, weights, accuracy)
        def first_estimate(self, y): return 2 * y

is an operator whose data term and first estimate `proxlab.restore` takes. A `LinearPhysics` without
the three methods is taken too: `operators.foreign` lends it conjugate gradients and an estimate by
least squares.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab.operators.noise import Weights
from solvers.protocols import DataTerm, Image, PerImage, Selectable


@dataclass(frozen=True)
class Accuracy:
    """The accuracy of a prox without a closed form.

    Raises ValueError unless 0 < tol < 1 and max_steps >= 1.

    >>> from proxlab.operators.contract import Accuracy
    >>> Accuracy(tol=1e-6).max_steps
    500
    >>> Accuracy(tol=2)
    Traceback (most recent call last):
        ...
    ValueError: tol is a relative residual, expected 0 < tol < 1, got 2
    """

    tol: float = 1e-5
    """Residual of its linear system over the right-hand side."""
    max_steps: int = 500
    """Conjugate gradient steps, at most."""

    def __post_init__(self):
        if not 0 < self.tol < 1:
            raise ValueError(f"tol is a relative residual, expected 0 < tol < 1, got {self.tol}")
        if self.max_steps < 1:
            raise ValueError(f"conjugate gradients need max_steps >= 1, got {self.max_steps}")


class Missed(NamedTuple):
    """One call of a data term's prox that was not as accurate as it should be.

    >>> op = proxlab.operators.ct(16, angles=12, noise=0.1)
    >>> f = proxlab.data_terms.data_term(op(torch.rand(1, 1, 16, 16)), op, max_steps=1)
    >>> _ = f.prox(torch.zeros(1, 1, 16, 16), 1.0)   # warns
    >>> f.stopped_short[0].images, f.stopped_short[0].residual > f.tol
    ((0,), True)
    """

    residual: float
    """Relative residual of the worst image."""
    images: tuple[int, ...]
    """Images that ended above `tol`, by their places in the whole batch."""


class QuadraticDataTerm(DataTerm, Selectable, Protocol):
    """f(x) = w <A x - y, W (A x - y)> / 2 of a batch of images: a solver's data term, and more.

    Images are independent: w, W and A may differ from one to the next.

    >>> op = proxlab.operators.inpaint(torch.ones(4, 4), noise=0.1)
    >>> f = proxlab.data_terms.data_term(torch.ones(1, 1, 4, 4), op)   # one of these
    >>> f.weight.round(), f.lipschitz().round()   # 1 / noise^2, times |A|^2
    (tensor([100.], dtype=torch.float64), tensor([100.], dtype=torch.float64))
    >>> f.tol, f.stopped_short   # a closed form
    (0.0, ())
    """

    @property
    def tol(self) -> float:
        """Relative error of `prox`; 0.0 for a closed form, which errs by rounding alone."""
        ...

    @property
    def stopped_short(self) -> Sequence[Missed]:
        """Calls of `prox` in which an image ended above `tol`, in their order."""
        ...

    @property
    def weight(self) -> PerImage:
        """w, float64 [B], one over the variance of the noise, times strength."""
        ...

    def lipschitz(self) -> PerImage:
        """L [B], the least Lipschitz constant of `grad`, w |W^1/2 A|^2, or a bound just above."""
        ...


class ByProducts(NamedTuple):
    """A data term's value and gradient, computed by the operator that it is of.

    >>> from proxlab.operators.contract import ByProducts
    >>> ByProducts(torch.zeros(1), torch.zeros(1, 1, 2, 2), "w |A x - y|^2 / 2").what
    'w |A x - y|^2 / 2'
    """

    value: PerImage
    grad: Image
    what: str
    """Words for what f has to be."""


@runtime_checkable
class HasByProducts(Protocol):
    """A data term other than the square, which says what it has to be of A x.

    >>> from proxlab.operators.contract import HasByProducts
    >>> counts = proxlab.operators.inpaint(torch.ones(4, 4), proxlab.operators.CameraNoise(0.1))
    >>> y = counts(torch.ones(1, 1, 4, 4))
    >>> f, square = (proxlab.data_terms.data_term(y, counts, n) for n in (None, 0.1))
    >>> isinstance(f, HasByProducts), isinstance(square, HasByProducts)
    (True, False)
    >>> anew = f.by_products(counts, y)
    >>> torch.allclose(anew.value, f.value(y)), torch.allclose(anew.grad, f.grad(y))
    (True, True)
    """

    def by_products(self, op: LinearPhysics, x: Image) -> ByProducts:
        """f(x) and its gradient, by one product with op's A and one with its A_adjoint."""
        ...


@runtime_checkable
class Operator(Protocol):
    """A `LinearPhysics` that knows its own data term and first estimate.

    >>> from proxlab.operators.contract import Accuracy, Operator
    >>> from proxlab.operators.noise import Weights
    >>> op = proxlab.operators.inpaint(torch.ones(4, 4), noise=0.1)
    >>> isinstance(op, Operator), isinstance(torch.nn.ReLU(), Operator)
    (True, False)
    >>> x = torch.ones(1, 1, 4, 4)
    >>> y = op.usable(op.A(x))
    >>> torch.equal(op.first_estimate(y), x)
    True
    >>> f = op.data_term(y, Weights(torch.tensor([100.0]), None), Accuracy())
    >>> f.value(0 * x)   # 100 * 16 / 2
    tensor([800.], dtype=torch.float64)
    """

    def usable(self, y: Tensor) -> Tensor:
        """The measurement y [B, ...] as `data_term` may read it.

        Entries that say nothing of the image, and so may hold anything, become zero.
        Raises ValueError or TypeError for a y that no image of this operator has.
        """
        ...

    def data_term(self, y: Tensor, weights: Weights, accuracy: Accuracy) -> QuadraticDataTerm:
        """The data term of y [B, ...], which is finite and has passed `usable`.

        `accuracy` is for a prox without a closed form.
        """
        ...

    def first_estimate(self, y: Tensor) -> Image:
        """A plain estimate [B, C, H, W] of the images behind y, where a solver starts.

        Each image by itself, in y's dtype and on its device. Raises as `usable`.
        """
        ...


@runtime_checkable
class HasPriorWeight(Protocol):
    """An operator with a weight of its own for priors, where nobody tells another.

    >>> from proxlab.operators.contract import HasPriorWeight
    >>> op = proxlab.operators.denoise(noise=0.1)
    >>> isinstance(op, HasPriorWeight), op.prior_weight
    (True, 1.0)
    """

    @property
    def prior_weight(self) -> float:
        """Factor of the prior, in place of its `default_weight`."""
        ...


@runtime_checkable
class HasPriorLevel(Protocol):
    """An operator that says at which noise level a prior serves it, where nobody tells another.

    >>> from proxlab.operators.contract import HasPriorLevel
    >>> op = proxlab.operators.ct(32, angles=48, noise=0.5)
    >>> isinstance(op, HasPriorLevel), op.prior_level(torch.tensor([0.5, 1.0]))
    (True, tensor([0.0092, 0.0183]))
    """

    def prior_level(self, noise: PerImage) -> PerImage:
        """Noise level of a prior, image units, [B], by the deviation of each measurement, [B]."""
        ...
