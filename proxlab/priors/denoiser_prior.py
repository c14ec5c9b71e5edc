"""A denoiser of deepinv as a prior here: its networks and classical filters in `proxlab.restore`.

    prior = proxlab.DenoiserPrior(deepinv.models.DRUNet(), sigma_range=(1 / 255, 50 / 255))
    result = proxlab.restore(y, op, prior)

The other way, a prior of ours in deepinv, is `proxlab.ExplicitPrior`.
"""

import copy
from collections.abc import Callable

import torch
from deepinv.models import Denoiser
from torch import Tensor

from proxlab.priors.arguments import check_images, check_weights, noise_levels
from proxlab.priors.contract import Capabilities
from proxlab.priors.jacobians.contract import PROBES
from proxlab.priors.jacobians.spread import spread


class DenoiserPrior(Denoiser):
    """prox(v, sigma) = denoiser(v, sigma), plug and play [Venkatakrishnan13].

    A denoiser is the prox of some R at best, and nobody knows the value of R: restorations with it
    trace no objective, and are certified where their own evaluations prove that they were one prox
    (`Restoration.evidence`). (For total variation with its value take `proxlab.load("tv")`.)

    `argument` turns sigma, in image units, into what the denoiser is to be handed: a threshold
    `lambda s: 8 * s**2` for TVDenoiser, say; sigma itself if None. `sigma_range` are the levels
    that it may be asked for, `name` is for messages, `default_weight` is that in `proxlab.restore`.

    What happens to an image does not depend on its batch: a network is set to evaluation and runs
    on the batch, anything without weights runs image by image, on a copy of its own for each, since
    deepinv's iterations stop on the mean of a batch and start from their last state. Nothing is
    kept from one call to the next, but by what `for_run` makes.
    Raises TypeError for anything but a Denoiser.

    >>> import deepinv
    >>> median = proxlab.DenoiserPrior(deepinv.models.MedianFilter(kernel_size=3), name="median")
    >>> median.prox(torch.rand(1, 1, 16, 16), 0.1).shape
    torch.Size([1, 1, 16, 16])
    """

    def __init__(
        self,
        denoiser: Denoiser,
        sigma_range: tuple[float, float] = (0.0, 1.0),
        argument: Callable[[float], float] | None = None,
        name: str | None = None,
        default_weight: float = 1.0,
    ):
        super().__init__()
        if not isinstance(denoiser, Denoiser):
            raise TypeError(
                f"a denoiser prior wraps a deepinv.models.Denoiser, got {_kind(denoiser)}; derive "
                "it from that class, with forward(x, sigma)"
            )
        low, high = sigma_range
        if not 0 <= low <= high <= 1:
            raise ValueError(
                f"sigma_range is in image units, expected 0 <= low <= high <= 1, got {low}, {high};"
                " divide by 255?"
            )
        self.denoiser = denoiser.eval()
        self.sigma_range = (low, high)
        self.argument = argument
        self.name = name or type(denoiser).__name__
        self.capabilities = Capabilities(default_weight=default_weight)
        self._copies: list[tuple[tuple, Denoiser]] | None = None

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """The same as `prox`.

        >>> import deepinv
        >>> denoiser = deepinv.models.TVDenoiser(n_it_max=20)
        >>> tv = proxlab.DenoiserPrior(denoiser, argument=lambda sigma: 8 * sigma**2)
        >>> v = torch.rand(2, 1, 16, 16)
        >>> torch.equal(tv(v, 0.1), tv.prox(v, 0.1))
        True
        """
        return self.prox(x, sigma)

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """The denoiser's answer, [B, C, H, W] -> the same; sigma a float or a tensor [B].

        Raises ValueError for a sigma outside `sigma_range`, for an input that is no batch of images
        or of another dtype or device than the weights, and for an answer of another shape.

        >>> prior = proxlab.load("unet-gray-small")
        >>> prior.prox(torch.rand(2, 1, 16, 16), torch.tensor([0.05, 0.1])).shape
        torch.Size([2, 1, 16, 16])
        """
        check_images(v)
        levels = noise_levels(self.name, v, sigma, self.sigma_range, torch.float64).tolist()
        weights = next(self.denoiser.parameters(), None)
        if weights is None:
            rows = zip(v.split(1), levels, self._own(v), strict=True)
            return torch.cat([self._shaped(one, d(one, self._handed(s))) for one, s, d in rows])
        check_weights(self.name, v, self.denoiser)
        if len(set(levels)) == 1:  # a number suits every network of deepinv, a tensor most
            return self._shaped(v, self.denoiser(v, self._handed(levels[0])))
        each = torch.tensor([self._handed(s) for s in levels], dtype=v.dtype, device=v.device)
        return self._shaped(v, self.denoiser(v, each))

    def spread(
        self, v: Tensor, sigma: float | Tensor, probes: int = PROBES, seed: int = 0
    ) -> Tensor:
        """Standard deviation of each pixel of the prox, [B, C, H, W]: see `jacobians.spread`.

        Raises as the prox, and ValueError for a filter through which no gradient passes, as BM3D.

        >>> import deepinv
        >>> network = deepinv.models.DnCNN(1, 1, depth=3, nf=4, pretrained=None)
        >>> prior, v = proxlab.DenoiserPrior(network), torch.rand(1, 1, 16, 16)
        >>> prior.spread(v, 0.1, probes=18).shape
        torch.Size([1, 1, 16, 16])
        """
        return spread(self, v, sigma, probes, seed)

    def for_run(self) -> "DenoiserPrior":
        """The same prior for one run on one batch: an iteration starts from its last state.

        >>> import deepinv
        >>> tv = proxlab.DenoiserPrior(deepinv.models.TVDenoiser(n_it_max=20))
        >>> run, v = tv.for_run(), torch.rand(1, 1, 9, 9)
        >>> torch.equal(run.prox(v, 0.1), run.prox(v, 0.1))   # the second goes on from the first
        False
        >>> torch.equal(tv.prox(v, 0.1), tv.prox(v, 0.1))
        True
        """
        weight = self.capabilities.default_weight
        chosen = DenoiserPrior(self.denoiser, self.sigma_range, self.argument, self.name, weight)
        chosen._copies = []
        return chosen

    def select(self, index: Tensor) -> "DenoiserPrior":
        """The same prior for those images of the batch, each with its own last state if any.

        >>> import deepinv
        >>> prior = proxlab.DenoiserPrior(deepinv.models.TVDenoiser(n_it_max=20)).for_run()
        >>> answers = prior.prox(torch.rand(3, 1, 16, 16), 0.1)
        >>> prior.select(torch.tensor([0, 2])).prox(answers[[0, 2]], 0.1).shape
        torch.Size([2, 1, 16, 16])
        """
        if self._copies is None:
            return self
        chosen = self.for_run()
        if self._copies:
            chosen._copies = [self._copies[i] for i in index.tolist()]
        return chosen

    def _own(self, v: Tensor) -> list[Denoiser]:
        """A copy for each image, a fresh one where images of another kind were seen before."""
        if self._copies is None:
            return [copy.deepcopy(self.denoiser) for _ in v]
        kind = (v.shape[1:], v.dtype, v.device)
        self._copies += [(kind, copy.deepcopy(self.denoiser)) for _ in v[len(self._copies) :]]
        for i, (seen, _) in enumerate(self._copies[: len(v)]):
            if seen != kind:
                self._copies[i] = kind, copy.deepcopy(self.denoiser)
        return [d for _, d in self._copies[: len(v)]]

    def _handed(self, sigma: float) -> float:
        return sigma if self.argument is None else float(self.argument(sigma))

    def _shaped(self, v: Tensor, answer: object) -> Tensor:
        if not isinstance(answer, Tensor):
            raise TypeError(
                f"{self.name} answered with a {type(answer).__name__}; a prior's network answers "
                "with one tensor of images, wrap it in a module that picks it out"
            )
        if answer.shape != v.shape:
            raise ValueError(
                f"{self.name} turned images {list(v.shape)} into {list(answer.shape)}; a prior "
                "keeps the shape, choose a denoiser for this number of channels"
            )
        return answer


def _kind(thing: object) -> str:
    return f"the class {thing.__name__}" if isinstance(thing, type) else type(thing).__name__
