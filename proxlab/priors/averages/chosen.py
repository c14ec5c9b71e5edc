"""A prior that is another one for each image of a batch."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from deepinv.models import Denoiser
from torch import Tensor, nn

from proxlab.priors.contract import HasSafer, Prior
from solvers.protocols import HasProxAndValue


class ChosenPrior(Denoiser):
    """The prior `priors[which[b]]` for image b of a batch; which is a tensor of places, [B].

    A batch of another size is refused with ValueError; `select` gives it for some of the images.

    >>> from proxlab.priors.averages.chosen import ChosenPrior
    >>> fine, coarse = proxlab.load("lpn-gray-small"), proxlab.load("none")
    >>> prior = ChosenPrior([fine, coarse], torch.tensor([1, 0, 1]))
    >>> v = torch.rand(3, 1, 16, 16)
    >>> torch.equal(prior.prox(v, 0.1)[0], coarse.prox(v, 0.1)[0])
    True
    >>> prior.select(torch.tensor([1])).prox(v[1:2], 0.1).shape
    torch.Size([1, 1, 16, 16])
    """

    def __init__(self, priors: Sequence[Prior], which: Tensor):
        super().__init__()
        self.priors, self.which = list(priors), which.cpu()
        self._modules_of = nn.ModuleList(p for p in priors if isinstance(p, nn.Module))
        self.name = " or ".join(p.name for p in priors)
        ends = list(zip(*(p.sigma_range for p in priors), strict=True))
        self.sigma_range = (max(ends[0]), min(ends[1]))
        claims = [p.capabilities for p in priors]
        self.capabilities = replace(
            claims[0],
            exact=all(c.exact for c in claims),
            convex=all(c.convex for c in claims),
            alpha=min(c.alpha for c in claims),
            reach=None,  # tiles are of images of one prior
            alignment=1,
            parts=False,
        )

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """The same as `prox`."""
        return self.prox(x, sigma)

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """The prox of each image's own prior, [B, C, H, W] -> the same. Raises as theirs."""
        return self.prox_and_value(v, sigma)[0]

    def prox_and_value(self, v: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor | None]:
        """The prox at v, and R_sigma there, float64 [B]; None where a prior has no value."""
        if len(v) != len(self.which):
            raise ValueError(
                f"{self.name} is for {len(self.which)} images, each with its prior, got {len(v)}"
            )
        x, values, known = torch.empty_like(v), None, True
        for place, prior in enumerate(self.priors):
            index = (self.which == place).nonzero()[:, 0].to(v.device)
            if not len(index):
                continue
            level = sigma[index] if isinstance(sigma, Tensor) and sigma.ndim else sigma
            r = None
            if isinstance(prior, HasProxAndValue):
                answer, r = prior.prox_and_value(v[index], level)
            else:
                answer = prior.prox(v[index], level)
            x[index] = answer
            if r is None:
                known = False
                continue
            values = r.new_zeros(len(v)) if values is None else values
            values[index] = r
        return x, values if known else None

    def select(self, index: Tensor) -> "ChosenPrior":
        """The same for those images of the batch."""
        return ChosenPrior(self.priors, self.which[index.cpu()])

    def safer(self, refused: Tensor) -> "ChosenPrior | None":
        """The same, with what each refused image's own prior knows as safer; see `HasSafer`."""
        priors, which = list(self.priors), self.which.clone()
        for place, prior in enumerate(self.priors):
            here = refused.cpu() & (self.which == place)
            less = None
            if bool(here.any()) and isinstance(prior, HasSafer):
                less = prior.safer(torch.ones(int(here.sum()), dtype=torch.bool))
            if less is not None:
                which[here] = len(priors)
                priors.append(less)
        return None if len(priors) == len(self.priors) else ChosenPrior(priors, which)
