"""A prior of ours as an explicit prior of deepinv: its solvers then report the true cost.

    g, s = proxlab.ExplicitPrior(proxlab.load("lpn-gray")), 0.1
    x = deepinv.optim.PGD(L2(0.11), g, lambda_reg=1 / s**2, stepsize=s**2, g_param=s)(y, op)

minimises |A x - y|^2 / (2 * 0.11^2) + R_s(x) / s^2, as `solvers.pgd` with tau = s^2 does.
"""

import torch
from deepinv.optim import Prior
from torch import Tensor

from proxlab.priors.contract import HasInverse, HasLevelValue

UNIT_TOLERANCE = 1e-6
"""Largest distance of lambda_reg * stepsize from 1: the rounding of float32 and no more."""


class ExplicitPrior(Prior):
    """R_sigma of one of our priors, where `g_param` of deepinv is sigma, in image units.

    `prior` has prox(v, sigma), prox_and_value(v, sigma) and value(x, sigma), and inverse(x, sigma)
    for `grad`: an LPN has all of them. Raises TypeError for one without the first three.

    deepinv asks for the cost at what the prox has just put out. The value there comes free with
    the prox and is kept, so no prox is inverted for it; only the cost of the first iterate costs an
    inversion, and not even that if it is an output of `prox`. Weights that still need gradients may
    change, so for them nothing is kept: requires_grad_(False) first.

    >>> from deepinv.optim import L2, PGD
    >>> prior = proxlab.ExplicitPrior(proxlab.load("tv"))
    >>> op = proxlab.operators.inpaint(proxlab.operators.random_mask((16, 16), 0.5), noise=0.05)
    >>> solver = PGD(L2(0.05), prior, stepsize=0.05**2, lambda_reg=0.05**-2, g_param=0.05)
    >>> solver(op(torch.rand(1, 1, 16, 16)), op).shape
    torch.Size([1, 1, 16, 16])
    """

    def __init__(self, prior):
        super().__init__()
        if not isinstance(prior, HasLevelValue):
            missing = [
                word for word in ("prox", "prox_and_value", "value") if word not in dir(prior)
            ]
            raise TypeError(
                f"an explicit prior knows its value; {type(prior).__name__} has no "
                f"{' and no '.join(missing)}: use deepinv.optim.PnP"
            )
        self.prior = prior
        self.explicit_prior = True
        self._last: tuple[Tensor, Tensor, Tensor] | None = None

    def fn(self, x: Tensor, g_param: float | Tensor, reduce: bool = True) -> Tensor:
        """R_sigma(x), [B] in float64, for x [B, C, H, W]; the name under which deepinv calls it.

        R_sigma of a shipped model is 0 on constant images. It is one number for each image either
        way: `reduce` changes nothing. Raises as `value` of the prior: RuntimeError if x is no
        output of the prox to its tolerance.

        >>> prior = proxlab.ExplicitPrior(proxlab.load("tv"))
        >>> edge = (torch.arange(16) < 8).float().expand(1, 1, 16, 16)
        >>> prior.fn(edge, 0.1)   # sigma^2 * weight 8 * an edge of 16 pixels
        tensor([1.2800], dtype=torch.float64)
        """
        return self.value(x, g_param)

    def value(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """The same as `fn`.

        >>> prior = proxlab.ExplicitPrior(proxlab.load("tv"))
        >>> edge = (torch.arange(16) < 8).float().expand(1, 1, 16, 16)
        >>> prior.value(edge, 0.1) == prior.fn(edge, 0.1)
        tensor([True])
        """
        level = _level(sigma, x)
        tracked = torch.is_grad_enabled() and x.requires_grad
        if self._last is not None and not tracked:
            output, its_level, value = self._last
            if _same(output, x) and _same(its_level, level):
                return value
        return self.prior.value(x, sigma)

    def prox(self, x: Tensor, g_param: float | Tensor, gamma: float | Tensor = 1.0) -> Tensor:
        """argmin_z |z - x|^2 / 2 + R_sigma(z), [B, C, H, W] -> the same; for gamma = 1 alone.

        gamma is what deepinv makes of it, lambda_reg * stepsize. A learned prox is that of R_sigma
        and not of a multiple: raises ValueError for any other gamma, and as the prior's own prox.

        >>> prior = proxlab.ExplicitPrior(proxlab.load("lpn-gray"))
        >>> prior.prox(torch.rand(1, 1, 16, 16), 0.1, gamma=1.0).shape
        torch.Size([1, 1, 16, 16])
        """
        largest = (torch.as_tensor(gamma).detach() - 1).abs().max()
        if not largest <= UNIT_TOLERANCE:
            raise ValueError(
                "a learned prox is exact for lambda_reg * stepsize = 1 alone, got "
                f"{_shown(gamma)}; set lambda_reg = 1 / stepsize, without backtracking"
            )
        return self.prox_and_value(x, g_param)[0]

    def prox_and_value(self, v: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor]:
        """The prox of R_sigma at v, and R_sigma there, [B] in float64.

        >>> prior = proxlab.ExplicitPrior(proxlab.load("lpn-gray"))
        >>> x, r = prior.prox_and_value(torch.rand(1, 1, 16, 16), 0.1)
        >>> prior.fn(x, 0.1) == r   # kept, so nothing is inverted
        tensor([True])
        """
        level = _level(sigma, v)
        x, value = self.prior.prox_and_value(v, sigma)
        self._last = None
        if not (x.requires_grad or self._may_change()):
            self._last = x.clone(), level.clone(), value.clone()
        return x, value

    def grad(self, x: Tensor, g_param: float | Tensor) -> Tensor:
        """grad R_sigma(x) = f^-1(x) - x for the prox f, [B, C, H, W].

        Raises TypeError if the prior has no inverse, RuntimeError where that does not get there.
        Source: [Fang24].

        >>> prior = proxlab.ExplicitPrior(proxlab.load("lpn-gray").double())
        >>> v = torch.rand(1, 1, 16, 16).double()
        >>> x = prior.prox(v, 0.1)
        >>> torch.allclose(prior.grad(x, 0.1), v - x, atol=1e-4)   # so x - v + grad R(x) = 0
        True
        """
        _level(g_param, x)
        if not isinstance(self.prior, HasInverse):
            raise TypeError(
                f"the gradient of {type(self.prior).__name__} is not known, it has no inverse; "
                "use a solver that takes the prox"
            )
        return self.prior.inverse(x, g_param) - x

    def _may_change(self) -> bool:
        weights = self.prior.parameters() if isinstance(self.prior, torch.nn.Module) else ()
        return any(p.requires_grad for p in weights)


def _level(sigma: float | Tensor | None, x: Tensor) -> Tensor:
    if sigma is None:
        raise ValueError("g_param is the noise level of the prior and is missing; try g_param=0.1")
    return torch.as_tensor(sigma, device=x.device).detach().flatten()


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and (a.dtype, a.device) == (b.dtype, b.device) and torch.equal(a, b)


def _shown(gamma: float | Tensor) -> str:
    numbers = torch.as_tensor(gamma).detach().flatten().tolist()
    return ", ".join(f"{number:.6g}" for number in numbers)
