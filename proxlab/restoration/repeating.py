"""Restoring again with a safer prior, where a run shows that its prior was no prox.

Evidence of a run says whether the prior's answers were those of one prox, and its values theirs. A
prior that is not exact by construction may know a safer one of itself, as `proxlab.AveragePrior`
does, down to one that is exact; images that were refused are then restored with that.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab.restoration.evidence import Evidence
from proxlab.restoration.fixed_level import Fitted, as_it_is
from proxlab.restoration.premises import KnownPrior, default_weight
from proxlab.restoration.restored import Restoration
from proxlab.restoration.restoring import DEFAULT, restore_once
from proxlab.restoration.settings import Settings
from solvers.progress import Follower

LOG = logging.getLogger(__name__)


@runtime_checkable
class KnowsSafer(Protocol):
    """A prior that knows one nearer to what is exact by construction.

    >>> from proxlab.restoration.repeating import KnowsSafer
    >>> isinstance(proxlab.load("gs-unet+lpn-gray"), KnowsSafer)
    True
    """

    def safer(self, refused: Tensor) -> KnownPrior | None:
        """Another prior for those images, bool [B], the same for others; None at last."""
        ...


def restore(
    y: Tensor,
    op: LinearPhysics,
    prior: KnownPrior,
    settings: Settings = DEFAULT,
    *,
    init: Tensor | None = None,
    progress: bool | Follower = False,
    fit: Callable[[KnownPrior, Tensor], Fitted] = as_it_is,
) -> Restoration[Tensor]:
    """Estimate the images behind y = op(x) + noise; `proxlab.restore` is its door for scripts.

    Arguments, errors and sources are those of `restoring.restore_once`. Where evidence refuses a
    prior that is a `KnowsSafer`, all is run again, with the safer prior for the images refused; the
    others come out as before, and the prior's weight stays that of the first run. `refused` of the
    result names the priors that were.

    >>> op = proxlab.operators.inpaint(proxlab.operators.random_mask((32, 32), 0.5), noise=0.05)
    >>> y = op(torch.linspace(0, 1, 32).expand(1, 1, 32, 32))
    >>> settings = proxlab.restoration.Settings(solver="pgd", steps=50)
    >>> result = proxlab.restoration.restore(y, op, proxlab.load("lpn-gray"), settings)
    >>> result.image.shape, result.refused
    (torch.Size([1, 1, 32, 32]), ())
    """
    before: list[str] = []
    while True:
        result = restore_once(y, op, prior, settings, init=init, progress=progress, fit=fit)
        which = [is_refused(evidence) for evidence in result.evidence]
        safer = prior.safer(torch.tensor(which)) if isinstance(prior, KnowsSafer) else None
        if safer is None or not any(which) or "callback" in result.stopped:
            result = replace(result, refused=tuple(before))
            LOG.info("%r", result)
            return result
        LOG.info("%s was refused for %d of %d images", prior.name, sum(which), len(which))
        before.append(prior.name)
        if settings.weight is None:
            weight = default_weight(prior, op, y if result.premises.counts else None)
            settings = replace(settings, weight=weight)
        prior = safer


def is_refused(evidence: Evidence) -> bool:
    """Whether a run's own numbers say that its prior was no prox, or its values not of it."""
    margins = (evidence.margin, evidence.value_margin)
    return any(margin is not None and not margin >= 0 for margin in margins)
