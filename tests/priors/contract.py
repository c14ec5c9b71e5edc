"""What a prior says of itself, held against what it does: the contract as a list of faults.

All on images so small that it costs nothing, in float64. `capabilities.reach` alone is left to
`tests/priors/test_tiled.py`, which needs large ones.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from proxlab.priors.contract import HasInverse, HasLevelValue, HasParts, Prior, lacking
from solvers.protocols import HasProxAndValue

STEP = 1e-5
"""Length of the moves whose answers are the Jacobian."""
SAME = 1e-9
"""Largest relative difference between two ways to one number."""
SINGLE = 1e-6
"""The same where a number may have become float32."""
INVERTED = 1e-4
"""The same where an inversion lies between them."""


def faults(make: Callable[[], Any], v: Tensor) -> list[str]:
    """Sentences on the first law of the contract that a prior breaks, at images v [2, C, H, W].

    `make` builds it anew, for priors that start from what they have seen last.
    """
    if said := lacking(make()):
        return [said]
    for law in (_of_itself, _of_batches, _of_refusals, _of_values, _of_parts, _of_exactness):
        if found := list(law(lambda: _double(make()), v.double())):
            return found
    return []


def _double(prior: Any) -> Any:
    return prior.double().requires_grad_(False) if isinstance(prior, nn.Module) else prior


def gap(a: Tensor, b: Tensor) -> float:
    """Largest difference of any image, relative to the larger of the two."""
    away, size = ((x.double().flatten(1).norm(dim=1)) for x in (a - b, torch.stack([a, b]).amax(0)))
    return float((away / size.clamp(min=1e-12)).max())


def middle(prior: Prior) -> float:
    """A noise level that it knows, 0.1 where it can be."""
    low, high = prior.sigma_range
    return min(max(0.1, low), high)


def _of_itself(make: Callable[[], Any], v: Tensor) -> Iterator[str]:
    prior = make()
    low, high = prior.sigma_range
    if not prior.name:
        yield "it has no name to be called by"
    if not 0 <= low <= high <= 1:
        yield f"levels are in image units, 0 <= {low} <= {high} <= 1"
    given = v.clone()
    x = prior.prox(given, middle(prior))
    if not torch.equal(given, v):
        yield "the prox changes what it is given"
    if (x.shape, x.dtype, x.device) != (v.shape, v.dtype, v.device):
        yield f"the prox of {v.dtype} {list(v.shape)} is {x.dtype} {list(x.shape)}"
    if x.requires_grad:
        yield "the prox keeps a graph that nobody asked for"
    other, fixed = v[:, :, 1:], prior.capabilities.fixed_size
    try:
        taken = prior.prox(other, middle(prior)).shape == other.shape
    except ValueError:
        taken = False
    if taken == fixed:
        yield f"its fixed_size is {fixed}, and whether it takes another size is {taken}"


def _of_batches(make: Callable[[], Any], v: Tensor) -> Iterator[str]:
    low, high = make().sigma_range
    levels = torch.tensor([middle(make()), max(low, min(high, 0.15))], dtype=v.dtype)
    together = make().prox(v, levels)
    for i in range(len(v)):
        here = slice(i, i + 1)
        if gap(together[here], make().prox(v[here], levels[here])) > SAME:
            yield f"image {i} of a batch is another than by itself"
        if gap(together[here], make().prox(v[here], float(levels[i]))) > SINGLE:
            yield f"image {i} is another where its level is a number"


def _of_refusals(make: Callable[[], Any], v: Tensor) -> Iterator[str]:
    low, high = make().sigma_range
    level = middle(make())
    for what, images, sigma in (
        ("a level above its range", v, 1.1 * high),
        ("a level in 255ths", v, 25.0),
        ("a negative level", v, -0.1),
        ("nan for a level", v, float("nan")),
        ("three levels for two images", v, torch.full((3,), level)),
        ("a single image without a batch", v[0], level),
        ("bytes", (255 * v).to(torch.uint8), level),
    ):
        try:
            make().prox(images, sigma)
        except ValueError as error:
            if "\n" in str(error):
                yield f"it says more than a sentence to {what}: {error}"
        else:
            yield f"it takes {what}"
    if low > 0:
        try:
            make().prox(v, 0.5 * low)
            yield "it takes a level below its range"
        except ValueError:
            pass


def _of_values(make: Callable[[], Any], v: Tensor) -> Iterator[str]:
    prior, sigma = make(), middle(make())
    x = prior.prox(v, sigma)
    if isinstance(prior, HasProxAndValue):
        z, r = make().prox_and_value(v, sigma)
        if gap(z, x) > SAME:
            yield "the prox that comes with a value is another"
        if r is not None and (r.shape, r.dtype) != (v.shape[:1], torch.float64):
            yield f"values are float64 [B], got {r.dtype} {list(r.shape)}"
        # where nothing vouches for a prox, another v may have the same output, and another value
        vouched = prior.capabilities.exact or prior.capabilities.convex
        if (
            vouched
            and isinstance(prior, HasLevelValue)
            and gap(make().value(z, sigma)[:, None], r[:, None]) > INVERTED
        ):
            yield "the value of an output is another than the one that came with it"
    if (
        isinstance(prior, HasInverse)
        and gap(prior.prox(prior.inverse(x, sigma), sigma), x) > INVERTED
    ):
        yield "the inverse does not lead back"
    if prior.capabilities.convex and isinstance(prior, HasLevelValue):
        a, b = v, v.flip(0) ** 2
        middle_, ends = (
            prior.value((a + b) / 2, sigma),
            prior.value(a, sigma) + prior.value(b, sigma),
        )
        if (middle_ > ends / 2 * (1 + SAME) + SAME).any():
            yield "its value is not convex"


def _of_parts(make: Callable[[], Any], v: Tensor) -> Iterator[str]:
    prior, sigma = make(), middle(make())
    if not prior.capabilities.parts:
        if isinstance(prior, HasParts):
            try:
                prior.prox_and_part(v, sigma, (slice(None), slice(0, 4)))
                yield "it has values part by part and does not say so"
            except TypeError:
                pass
        return
    if not isinstance(prior, HasParts) or not isinstance(prior, HasProxAndValue):
        yield "it claims parts, and has no prox_and_part or no prox_and_value"
        return
    x, r = prior.prox_and_value(v, sigma)
    total = torch.zeros_like(r)
    for rows in (slice(0, 4), slice(4, None)):
        for columns in (slice(0, 2), slice(2, None)):
            z, part = prior.prox_and_part(v, sigma, (rows, columns))
            total += part
            if gap(z, x) > SAME:
                yield "the prox that comes with a part is another"
    if gap(total[:, None], r[:, None]) > 1e-7:
        yield "its parts do not add up to its value"


def _of_exactness(make: Callable[[], Any], v: Tensor) -> Iterator[str]:
    prior, sigma = make(), middle(make())
    claims = prior.capabilities
    if claims.alpha and not claims.exact:
        yield "alpha is of a prox, and it claims to be none"
    if not claims.exact:
        return
    moves = STEP * torch.eye(v[0].numel(), dtype=v.dtype).view(-1, *v.shape[1:])
    up, down = (prior.prox(x, sigma).flatten(1) for x in (v[:1] + moves, v[:1] - moves))
    jacobian = (up - down) / (2 * STEP)
    if float((jacobian - jacobian.T).norm() / jacobian.norm()) > 1e-6:
        yield "it claims to be exact, and its Jacobian is not symmetric"
    values = torch.linalg.eigvalsh((jacobian + jacobian.T) / 2)
    if float(values[0]) < claims.alpha - 1e-6:
        yield f"it claims alpha = {claims.alpha}, and an eigenvalue is {float(values[0]):.3g}"
    if claims.convex and float(values[-1]) > 1 + 1e-6:
        yield f"it claims to be convex, and an eigenvalue of its prox is {float(values[-1]):.3g}"
    if isinstance(prior, HasProxAndValue):
        x, r = prior.prox_and_value(v, sigma)
        least, pull = (x - v).square().sum((1, 2, 3)) / 2 + r, (v - x) / 2
        for rival in (0 * v, v.flip(3), v.roll(2, 2), 2 * v, v + 0.05, v + pull, v - pull):
            z, s = prior.prox_and_value(rival, sigma)
            if ((z - v).square().sum((1, 2, 3)) / 2 + s < least * (1 - SAME) - SAME).any():
                yield "a rival beats its prox"
                return
