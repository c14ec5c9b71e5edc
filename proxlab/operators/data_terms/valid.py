"""The data term of a blur that saw more than it kept: its prox by a system as large as y alone.

The images are larger than y by the reach of the kernel, and A keeps of a convolution what nothing
beyond them was needed for. With D = W^(1/2) and s = tau w, the prox is

    x = v + s A^T D t,   (I + s D A A^T D) t = D (y - A v),   so that t = D (y - A x).

A A^T is a convolution cut to the size of y, one transform there and one back, where A^T A takes two
of each. No pixel that y lacks is in it, so the convolution that does not cut inverts it nearly, and
conjugate gradients end after 2 to 9 steps (`examples/benchmarks/photographs/bench_borders.py
--prox`). [Chan96] The model is that of [Almeida13].
"""

import copy
from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F
from scipy.fft import next_fast_len
from torch import Tensor

from proxlab.operators.contract import Accuracy, Missed
from proxlab.operators.data_terms.arguments import Latest, checked, scaled, squares
from proxlab.operators.data_terms.missed import reported
from proxlab.operators.draws import Draws
from proxlab.operators.noise import Weights
from solvers.linear_systems import conjugate_gradient
from solvers.protocols import Image, PerImage, dot, doubles, per_image
from solvers.spectrum import largest_eigenvalue, perron_bound


class ValidData:
    """f(x) = w <A x - y, W (A x - y)> / 2, A the part of a convolution that needs no border.

    `kernel` [1 or B, 1 or C, h, w]; y [B, C, H, W]; images [B, C, H + h - 1, W + w - 1].
    The prox is known to tol |v + s A^T W y|, as that of `LinearData`: the residual r of the system
    above is followed by an error of at most min(s |D A|, s^(1/2) / 2) |r|, which is what ends the
    steps. They start at the t of the call before.
    NaN or infinity in v of an image makes its answer NaN, and no other. `stopped_short` collects
    calls in which images missed tol; the first one warns. `inner_steps` counts products with A A^T,
    of the image that took most.

    >>> op = proxlab.operators.deblur(torch.ones(3, 3) / 9, noise=0.1, boundary="valid")
    >>> y, v = op(torch.rand(2, 1, 12, 14)), torch.zeros(2, 1, 12, 14)
    >>> f = proxlab.data_terms.data_term(y, op)
    >>> x, value = f.prox_and_value(v, 1.0)
    >>> (x - v + f.grad(x)).norm() < 1e-3 * f.grad(v).norm()   # 0 at the prox, to its tolerance
    tensor(True)
    >>> torch.allclose(f.value(x), value, rtol=1e-3), f.stopped_short
    (True, [])
    >>> f.lipschitz().shape, f.select(torch.tensor([1])).value(x[1:]).shape
    (torch.Size([2]), torch.Size([1]))
    """

    def __init__(self, y: Tensor, kernel: Tensor, weights: Weights, accuracy: Accuracy):
        h, w = kernel.shape[-2:]
        self.weight, self.tol, self.max_steps = weights.image, accuracy.tol, accuracy.max_steps
        self.shape = torch.Size((*y.shape[:2], y.shape[2] + h - 1, y.shape[3] + w - 1))
        self.grid = _fast(self.shape[2]), _fast(self.shape[3])
        self.spectrum = torch.fft.rfft2(doubles(kernel), s=self.grid).to(
            device=y.device, dtype=y.dtype.to_complex()
        )
        self.power = self.spectrum.real**2 + self.spectrum.imag**2
        self.non_negative = bool((kernel >= 0).all())
        self.root = None if weights.entry is None else weights.entry.sqrt()
        """D, the shape of y."""
        self.seen = self._weighted(y)
        """D y."""
        self.back: Image = self._adjoint(self.seen)
        """A^T W y."""
        self.stopped_short: list[Missed] = []
        self.inner_steps = 0
        self._t: Tensor | None = None
        self._images = torch.arange(len(y))
        self._latest = Latest()

    def value(self, x: Image) -> PerImage:
        """f(x), float64 [B]."""
        return self._energy(self._misfit(x))

    def grad(self, x: Image) -> Image:
        """w A^T W (A x - y)."""
        return self._adjoint(self._misfit(x)) * -per_image(self.weight, x)

    def prox(self, v: Image, tau: float | PerImage) -> Image:
        """argmin_x |x - v|^2 / 2 + tau f(x), to tol; warns once if that is not reached.

        >>> kernel = proxlab.operators.gaussian_kernel(1.0)
        >>> op = proxlab.operators.deblur(kernel, noise=0.1, boundary="valid")
        >>> f = proxlab.data_terms.data_term(torch.ones(1, 1, 8, 8), op)
        >>> f.prox(torch.zeros(1, 1, 16, 16), 1.0).shape
        torch.Size([1, 1, 16, 16])
        """
        return self.prox_and_value(v, tau)[0]

    def prox_and_value(self, v: Image, tau: float | PerImage) -> tuple[Image, PerImage]:
        """The prox x, and f(x), which its residual has computed."""
        s = scaled(tau, self.weight, checked(v, self.shape))
        right = v + s * self.back
        size = dot(right, right).sqrt()
        b, seen = self._misfit(v), []

        def residual(t: Tensor) -> Tensor:
            misfit = b - s * self._gram(t)
            r = misfit - t
            seen.append((dot(r, r), self._energy(misfit)))
            return r

        follows = self._follows(s).to(size)
        solution = conjugate_gradient(
            lambda t: t + s * self._gram(t),
            residual,
            torch.zeros_like(b) if self._t is None else self._t,
            scale=size.clamp(min=torch.finfo(v.dtype).tiny) / follows,
            tol=self.tol,
            max_steps=self.max_steps,
            precondition=self._inverse(tau, v),
        )
        t = self._t = solution.x.detach()
        # a system with NaN or infinity in it has no solution, though no step is taken from v
        t = torch.where(per_image(size.isfinite(), v).bool(), t, torch.nan)
        taken = int(solution.steps.max())
        self.inner_steps += taken
        missed = solution.residual.detach().cpu()
        reported(self.stopped_short, missed, self._images, self.tol, (taken, self.max_steps), v)
        sizes, values = (torch.stack(one) for one in zip(*seen, strict=True))
        x = v + s * self._adjoint(t)
        return x, values.gather(0, sizes.argmin(0, keepdim=True))[0]

    def lipschitz(self) -> PerImage:
        """L = w |W^1/2 A|^2, [B], from above: see `solvers.spectrum` for the two bounds."""
        if self.non_negative:
            return self.weight * perron_bound(self._gram, self.seen)
        return self.weight * largest_eigenvalue(self._gram, Draws(self.seen).normal(self.seen))

    def select(self, index: Tensor) -> "ValidData":
        """The term for the images `index` alone, with their warm start and the same report."""
        chosen = copy.copy(self)
        chosen.seen, chosen.back, chosen.weight = (
            part[index] for part in (self.seen, self.back, self.weight)
        )
        chosen.shape = torch.Size((len(chosen.seen), *self.shape[1:]))
        chosen.root = None if self.root is None else self.root[index]
        if len(self.spectrum) > 1:
            chosen.spectrum, chosen.power = self.spectrum[index], self.power[index]
        chosen._t = None if self._t is None else self._t[index]
        chosen.inner_steps, chosen._images = 0, self._images[index.cpu()]
        chosen._latest = Latest()
        return chosen

    def _energy(self, misfit: Tensor) -> PerImage:
        return self.weight * squares(misfit).flatten(1).sum(1) / 2

    def _misfit(self, x: Image) -> Tensor:
        """D (y - A x)."""
        transform = torch.fft.rfft2(checked(x, self.shape), s=self.grid)
        blurred = torch.fft.irfft2(self.spectrum * transform, s=self.grid)
        (height, width), (rows, columns) = self.seen.shape[-2:], self.shape[-2:]
        return self.seen - self._weighted(
            blurred[..., rows - height : rows, columns - width : columns]
        )

    def _adjoint(self, t: Tensor) -> Image:
        """A^T D t."""
        (height, width), (rows, columns) = t.shape[-2:], self.shape[-2:]
        whole = F.pad(self._weighted(t), (columns - width, 0, rows - height, 0))
        transform = self.spectrum.conj() * torch.fft.rfft2(whole, s=self.grid)
        return torch.fft.irfft2(transform, s=self.grid)[..., :rows, :columns]

    def _gram(self, t: Tensor) -> Tensor:
        """D A A^T D t."""
        return self._weighted(self._convolved(self.power, self._weighted(t)))

    def _inverse(self, tau: float | PerImage, v: Image) -> Callable[[Tensor], Tensor]:
        """The convolution that would invert I + s A A^T, were A not cut."""
        response = self._latest.of(tau, v, self._response)
        return lambda r: self._convolved(response, r)

    def _response(self, tau: float | PerImage, v: Image) -> Tensor:
        return 1 / (1 + scaled(tau, self.weight, v) * self.power)

    def _convolved(self, response: Tensor, t: Tensor) -> Tensor:
        """The convolution of that response, on a grid where nothing wraps, cut to t's size."""
        transform = response * torch.fft.rfft2(t, s=self.grid)
        return torch.fft.irfft2(transform, s=self.grid)[..., : t.shape[-2], : t.shape[-1]]

    def _weighted(self, t: Tensor) -> Tensor:
        return t if self.root is None else self.root * t

    def _follows(self, s: Tensor) -> PerImage:
        """A bound on |s A^T D (I + s D A A^T D)^-1|."""
        most = self.power.flatten(1).amax(1).sqrt()
        if self.root is not None:
            most = most * self.root.flatten(1).amax(1)
        s = s.flatten()
        return torch.minimum(s * most, s.sqrt() / 2)


@lru_cache(maxsize=256)
def _fast(n: int) -> int:
    """The least length from n on of which transforms are quick."""
    return next_fast_len(n, real=True) or n
