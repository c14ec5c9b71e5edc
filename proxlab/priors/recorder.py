"""A recorder of any denoiser: afterwards it says whether what was asked of it was an exact prox.

    recorder = proxlab.Recorder(deepinv.models.DRUNet())
    model = deepinv.optim.DRS(L2(), PnP(recorder), stepsize=1.0, g_param=0.05, max_iter=100)
    x = model(y, physics)
    recorder.evidence()[0].margin       # at least 0: these answers were those of one prox

Algorithms of other libraries and loops of one's own know nothing of certificates. They need not:
what proves a prox are its evaluations (`solvers.evidence`).
"""

from typing import NamedTuple

import torch
from deepinv.models import Denoiser
from torch import Tensor, nn

from proxlab.priors.arguments import check_images
from solvers.evidence import interpolation
from solvers.protocols import Evaluation, State
from solvers.witness import PAIRS, Witness


class Recorded(NamedTuple):
    """Verdict of one image's evaluations on the denoiser that made them.

    >>> recorder = proxlab.Recorder(torch.nn.Softshrink(0.1))   # the prox of 0.1 |x|_1
    >>> for value in (0.4, 0.6, 0.8):
    ...     _ = recorder(torch.full((1, 1, 2, 2), value))
    >>> found = recorder.evidence()[0]
    >>> found.exact, found.evaluations, found.steps
    (True, 3, [1, 2, 3])
    >>> (found.low <= found.high + 1e-9).all()   # what R of that prox may be
    tensor(True)
    """

    margin: float
    """Margin of the interpolation test: at least 0 if one function R exists whose prox they all
    are; the eigenvalues of the denoiser's Jacobian that were met lie above it. inf for one
    evaluation, which says nothing."""
    convex_margin: float
    """The same for a convex R."""
    evaluations: int
    """Evaluations since the noise level or the size of the batch last changed."""
    steps: list[int]
    """Numbers of those that were kept and tested, from 1; the first and the last are among them."""
    low: Tensor
    """R(x) - R(x_last) of these is at least this, float64 [K], over all R that fit; NaN if none
    does. Divide by sigma^2 for -log p."""
    high: Tensor
    """It is at most this."""

    @property
    def exact(self) -> bool:
        """Whether the evaluations, more than one, were those of one exact prox."""
        return len(self.steps) > 1 and self.margin >= 0


class Recorder(Denoiser):
    """A denoiser that passes everything on to another one, and remembers.

    denoiser: any nn.Module called as denoiser(x, sigma) or denoiser(x), deepinv's among them.
    pairs: evaluations that are kept of an image, at most: the first, the last, the others spread,
    and 256 MiB of them at most. Only evaluations at one noise level say something of one prox:
    where the level changes, or the shape of the batch, recording begins anew. `proxlab.restore`
    runs copies of a denoiser without weights, and its result has the evidence itself.
    Raises TypeError for a denoiser that is no nn.Module, ValueError for pairs < 2.

    >>> recorder = proxlab.Recorder(proxlab.load("lpn-gray-small"))
    >>> x = y = torch.rand(1, 1, 32, 32)
    >>> for _ in range(5):   # any loop of yours: a step towards y, then the network
    ...     x = recorder(x - 0.5 * (x - y), 0.1)
    >>> verdict = recorder.evidence()[0]   # of the first image
    >>> verdict.exact, verdict.evaluations
    (True, 5)
    >>> recorder.forget()   # before the next run
    """

    def __init__(self, denoiser: nn.Module, pairs: int = PAIRS):
        super().__init__()
        if not isinstance(denoiser, nn.Module):
            raise TypeError(
                f"a recorder wraps an nn.Module, got {type(denoiser).__name__}; a prior of proxlab "
                "is one too, or put its prox into the forward of a module"
            )
        self.denoiser, self.pairs = denoiser, pairs
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self._witness = Witness(self.pairs, rest=float("inf"))
        self._kind: tuple | None = None
        self._count = 0

    def forward(self, x: Tensor, *arguments, **options) -> Tensor:
        """The denoiser's answer [B, C, H, W] to x, whatever else it is called with.

        >>> recorder = proxlab.Recorder(proxlab.load("lpn-gray-small"))
        >>> recorder(torch.rand(1, 1, 16, 16), 0.1).shape
        torch.Size([1, 1, 16, 16])
        """
        answer = self.denoiser(x, *arguments, **options)
        check_images(x)
        if answer.shape != x.shape:
            raise ValueError(
                f"the denoiser turned images {list(x.shape)} into {list(answer.shape)}, which is "
                "no prox; choose one for this number of channels"
            )
        kind = (x.shape, x.dtype, x.device, *map(_level, arguments), *map(_level, options.values()))
        if kind != self._kind:
            self.forget()
            self._kind = kind
        self._count += 1
        v, p = x.detach().clone(), answer.detach().clone()
        asked = Evaluation(v, v, 1.0, None)
        nothing = v.new_zeros(len(v))
        state = State(p, nothing, None, nothing, True, evaluation=asked)
        everyone = torch.arange(len(v))
        self._witness.see(self._count, state, everyone, torch.zeros(len(v), dtype=torch.bool))
        return answer

    def evidence(self) -> list[Recorded]:
        """Verdict of the evaluations, image by image of the last batch.

        Raises ValueError if there were none.

        >>> recorder = proxlab.Recorder(torch.nn.Hardshrink(0.5))
        >>> for value in (0.4, 0.6, 0.8):
        ...     _ = recorder(torch.full((2, 1, 8, 8), value))
        >>> [verdict.exact for verdict in recorder.evidence()]   # hard thresholds are a prox
        [True, True]
        """
        if self._kind is None:
            raise ValueError("nothing was recorded: call the denoiser, or the algorithm, first")
        found = []
        for image in range(self._kind[0][0]):
            seen = self._witness.of(image)
            met = interpolation(seen.v, seen.x)
            found.append(
                Recorded(met.margin, met.convex_margin, self._count, seen.steps, met.low, met.high)
            )
        return found


def _level(argument: object) -> object:
    """An argument of the denoiser as it can be compared: numbers of a tensor, or the thing."""
    if isinstance(argument, Tensor):
        return tuple(argument.detach().flatten().tolist())
    return argument
