"""Priors made of what people bring: a network, a denoiser of deepinv, an object with a prox.

    prior = adopted(my_network)          # any nn.Module called as net(v, sigma) or net(v)
    result = proxlab.restore(y, op, my_network)     # the same door

Names are looked up by `proxlab.named_priors`, which opens into this.
"""

import inspect
from typing import Protocol, cast, runtime_checkable

import torch
from deepinv.models import Denoiser
from torch import Tensor, nn

from proxlab.priors.arguments import check_images, noise_levels
from proxlab.priors.contract import (
    Capabilities,
    HasInverse,
    HasLevelValue,
    HasParts,
    Prior,
    lacking,
)
from proxlab.priors.denoiser_prior import DenoiserPrior
from proxlab.priors.jacobians.spread import SpreadOfMean
from solvers.protocols import HasProxAndValue, Selectable

LEVEL_WORDS = ("sigma", "noise", "std")
"""Words by which the name of an optional second argument is known to be a noise level."""


def adopted(thing: object) -> Prior:
    """A prior as it is; of anything else, the prior that it can be.

    A denoiser of deepinv is called with a number, any other nn.Module with a tensor without
    dimensions, image by image where levels differ; one whose `forward` takes the image alone is of
    one level, whatever is asked. An object with `prox(v, sigma)`, sigma a float or a tensor [B],
    claims what its `capabilities` say, or else its `exact`, `convex` and `default_weight`, or
    nothing; without a `sigma_range` it is taken to know all levels from 0 to 1.
    Nothing is proved of a network beforehand: whether its answers are those of one prox, each run
    finds out for itself, and its certificate is of that run. A module is set to evaluation, and
    stays so.
    Raises TypeError, with what is lacking, for anything else, and for a prox that takes no sigma,
    as that of most priors of deepinv.
    """
    if not lacking(thing):
        return cast(Prior, thing)
    match thing:
        case type():
            raise TypeError(lacking(thing))
        case HasProx():
            _check_prox(thing)
            return _Declared(thing)
        case Denoiser():
            return DenoiserPrior(thing)
        case nn.Module():
            return DenoiserPrior(Network(thing), name=type(thing).__name__)
    raise TypeError(lacking(thing))


@runtime_checkable
class HasProx(Protocol):
    """Anything with a prox at noise level sigma."""

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """The prox, as that of `Prior`."""
        ...


class Network(Denoiser):
    """An nn.Module of any library as a denoiser of deepinv, [B, C, H, W] -> the same."""

    def __init__(self, network: nn.Module):
        """Raises TypeError for a `forward` that takes neither (v, sigma) nor (v)."""
        super().__init__()
        self.network = network
        self.takes_level = _takes_level(network)

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """The network's answer; sigma a float or [B]."""
        if not self.takes_level:
            return self.network(x)
        levels = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
        if levels.ndim == 0:
            return self.network(x, levels)
        rows = zip(x.split(1), levels.flatten(), strict=True)
        return torch.cat([self.network(one, level) for one, level in rows])


class _Declared(SpreadOfMean):
    """An object with a prox, its claims gathered; what it can do besides it can do here."""

    def __init__(self, thing: HasProx):
        self._thing = thing
        self.name, self.sigma_range = type(thing).__name__, (0.0, 1.0)
        match thing:
            case object(name=str(name)):
                self.name = name
        match thing:
            case object(sigma_range=(low, high)):
                self.sigma_range = (float(low), float(high))
        self.capabilities = _claims(thing)
        if isinstance(thing, HasProxAndValue):
            self.prox_and_value = self._prox_and_value
        if isinstance(thing, HasLevelValue):
            self.value = thing.value
        if isinstance(thing, HasInverse):
            self.inverse = thing.inverse
        if isinstance(thing, HasParts):
            self.prox_and_part = thing.prox_and_part
        if isinstance(thing, Selectable):
            self.select = self._select

    def prox(self, v: Tensor, sigma: float | Tensor) -> Tensor:
        """The object's own prox. Raises ValueError for what `Prior.prox` refuses."""
        return torch.cat([thing.prox(one, s) for thing, one, s in self._asked(v, sigma)])

    def _prox_and_value(self, v: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor | None]:
        found = [
            thing.prox_and_value(one, s)
            for thing, one, s in self._asked(v, sigma)
            if isinstance(thing, HasProxAndValue)
        ]
        values = [r for _, r in found if r is not None]
        x = torch.cat([x for x, _ in found])
        return x, torch.cat(values) if len(values) == len(found) else None

    def _asked(
        self, v: Tensor, sigma: float | Tensor
    ) -> list[tuple[HasProx, Tensor, float | Tensor]]:
        """The object, images and their level: a prox written for a number takes no tensor, so
        images of different levels are asked about one by one, but for an object that keeps
        something for each image, as `Selectable` ones do."""
        check_images(v)
        levels = noise_levels(self.name, v, sigma, self.sigma_range, torch.float64).tolist()
        if len(set(levels)) == 1:
            return [(self._thing, v, levels[0])]
        if isinstance(self._thing, Selectable):
            return [(self._thing, v, sigma)]
        return [(self._thing, one, s) for one, s in zip(v.split(1), levels, strict=True)]

    def _select(self, index: Tensor) -> "_Declared":
        assert isinstance(self._thing, Selectable)
        return _Declared(cast(HasProx, self._thing.select(index)))


def _claims(thing: HasProx) -> Capabilities:
    """Claims of an object; its `capabilities` go before single words."""
    match thing:
        case object(capabilities=Capabilities() as claims):
            return claims
    if "capabilities" in dir(thing):
        raise TypeError(lacking(thing))
    exact, convex, weight = False, False, 1.0
    match thing:
        case object(exact=bool(said)):
            exact = said
    match thing:
        case object(convex=bool(said)):
            convex = said
    match thing:
        case object(default_weight=float(said) | int(said)):
            weight = float(said)
    return Capabilities(exact=exact, convex=convex, default_weight=weight)


def _check_prox(thing: HasProx) -> None:
    """Raises TypeError for a prox that (v, sigma) cannot be handed to, or that loses sigma."""
    try:
        arguments = list(inspect.signature(thing.prox).parameters.values())
    except (TypeError, ValueError):  # written in another language, and asked when it is called
        return
    if len(_places(arguments)) < 2:
        called, said = type(thing).__name__, ", ".join(str(a) for a in arguments)
        raise TypeError(
            f"a prior has prox(v, sigma), but {called}.prox takes ({said}); wrap it in a class "
            "whose prox makes its argument out of sigma"
        )


def _places(arguments: list[inspect.Parameter]) -> list[inspect.Parameter]:
    """The arguments that have a place; none where more must be given than the first two."""
    places = [a for a in arguments if a.kind in (a.POSITIONAL_ONLY, a.POSITIONAL_OR_KEYWORD)]
    beyond = [*places[2:], *(a for a in arguments if a.kind is a.KEYWORD_ONLY)]
    return [] if any(a.default is a.empty for a in beyond) else places


def _takes_level(network: nn.Module) -> bool:
    """Whether `forward` takes a noise level after the image."""
    called = type(network).__name__
    try:
        arguments = list(inspect.signature(network.forward).parameters.values())
    except (TypeError, ValueError):
        arguments = []
    places = _places(arguments)
    if not places:
        said = ", ".join(a.name for a in arguments) or "nothing that can be read"
        raise TypeError(
            f"a network is called as net(v, sigma) or net(v), but {called}.forward takes {said}; "
            "wrap it in a module whose forward does"
        )
    if len(places) == 1:
        return False
    second = places[1]
    return second.default is second.empty or any(w in second.name.lower() for w in LEVEL_WORDS)
