"""Priors, noise levels and images that `proxlab.adapt` takes, and sentences on others."""

import copy
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from proxlab.priors.contract import Prior
from proxlab.priors.lpn.network import LPN
from proxlab.training.recorrupted import GROWTH

SMALLEST = 32
"""Least side of an image, pixels."""


@runtime_checkable
class Trainable(Protocol):
    """A denoiser that says how its parameters are to be trained.

    >>> from proxlab.adaptation.admission import Trainable
    >>> isinstance(proxlab.load("unet-gray"), Trainable)
    True
    """

    def parameter_groups(self, learning_rate: float) -> list[dict]:
        """Its parameters, as an optimiser takes them."""
        ...


@runtime_checkable
class HasChannels(Protocol):
    """A prior of gray images or of colour images.

    >>> from proxlab.adaptation.admission import HasChannels
    >>> isinstance(proxlab.load("lpn-color"), HasChannels)
    True
    """

    @property
    def channels(self) -> int:
        """1 or 3."""
        ...


def copied(prior: Prior):
    """A copy to be trained. Raises ValueError for a prior that has nothing to train."""
    if isinstance(prior, LPN | Trainable) and isinstance(prior, nn.Module):
        return copy.deepcopy(prior).requires_grad_(True).train()
    raise ValueError(
        f"{prior.name} has no parameters that proxlab knows to train; take a learned prior, "
        "lpn-gray for one"
    )


def groups(model: nn.Module, learning_rate: float) -> list[dict]:
    """Its parameters, as an optimiser takes them."""
    trained = model.potential if isinstance(model, LPN) else model
    if isinstance(trained, Trainable):
        return trained.parameter_groups(learning_rate)
    return [{"params": list(model.parameters()), "lr": learning_rate}]


def checked_level(prior: Prior, sigma: float) -> float:
    """The noise that the prior is shown. Raises ValueError for one that it does not know."""
    low, high = prior.sigma_range
    if not 0 < sigma < float("inf"):
        raise ValueError(
            f"sigma is the noise of the images, positive, got {sigma}; from images without noise "
            "nothing is learned in this way"
        )
    if not low <= GROWTH * sigma <= high:
        raise ValueError(
            f"{prior.name} can be adapted to noise {low / GROWTH:.4g} to {high / GROWTH:.4g}, for "
            f"it is shown {GROWTH:.3f} times as much; got {sigma}, in units of images, 0 to 1"
        )
    return GROWTH * float(sigma)


def checked(prior: Prior, images: Tensor | Sequence[Tensor]) -> list[Tensor]:
    """The images as [H, W] or [3, H, W]. Raises ValueError, in a sentence, for what cannot be."""
    found = []
    for i, x in enumerate(images):
        x = x[0] if x.ndim == 3 and len(x) == 1 else x
        if not x.is_floating_point() or x.ndim not in (2, 3) or (x.ndim == 3 and len(x) != 3):
            raise ValueError(
                f"image {i} is {x.dtype} {list(x.shape)}; noisy images are floats [H, W] or "
                "[3, H, W], 0 to 1"
            )
        if not x.isfinite().all():
            raise ValueError(f"image {i} has values that are no numbers; mend or leave it out")
        if x.min() == x.max():
            raise ValueError(f"image {i} is constant, so it has no noise; leave it out")
        if min(x.shape[-2:]) < SMALLEST:
            raise ValueError(
                f"image {i} is {x.shape[-2]} x {x.shape[-1]} pixels; sides have at least {SMALLEST}"
            )
        found.append(x)
    if not found:
        raise ValueError("no images were given; adapt takes one at least")
    channels = {1 if x.ndim == 2 else 3 for x in found}
    asked = prior.channels if isinstance(prior, HasChannels) else min(channels)
    if channels != {asked}:
        raise ValueError(
            f"{prior.name} is trained on images of {asked} channel{'s' * (asked > 1)}, got "
            f"{' and '.join(map(str, sorted(channels)))}; convert them, or take another prior"
        )
    return found
