"""Is A linear, is A_adjoint its adjoint, are images independent: asked before a run, in numbers.

    check = check_operator(op, y, x)      # x: a first estimate of the images behind y
    check.doubts                          # () for an operator that is what a solver needs

Every theorem of `solvers` is of a linear A, its adjoint, and images that do not mix. Four products
with random images tell: A u, A v, A (u + m v) and A^T w, m the mask of every second image of the
batch, w = A u plus noise. What is drawn depends on y alone (`operators.draws`).

What four products cannot see: what happens far outside the range of the images, an error below
`TOLERANCE`, and an operator that changes once it was asked.
"""

import math
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple
from weakref import WeakKeyDictionary, ref

import torch
from deepinv.physics import LinearPhysics
from torch import Tensor

from proxlab.operators.draws import Draws
from solvers.protocols import Image, PerImage, dot, norm, per_image

TOLERANCE = 1e-4
"""Relative error above which a check has failed. Rounding of our operators and deepinv's in
float32 was at most 1e-6."""
ROUGHNESS = 0.1
"""Noise on u, over the root mean square of x: u is an image, but no smoother than a photograph."""
_known: "WeakKeyDictionary[LinearPhysics, dict[tuple, _Known]]" = WeakKeyDictionary()
_lock = threading.Lock()


@dataclass(frozen=True)
class OperatorCheck:
    """Answers of four products about an operator; each error is that of the worst image."""

    adjoint_error: float
    """The larger of |<A u, w> - <u, A^T w>| / (|A u| |w|), and of the same with v in place of u
    over its standard deviation. c A^T has about (1 - c) / sqrt(2)."""
    linearity_error: float
    """|A (u + v) - A u - A v| / (|A u| + |A v|)."""
    independence_error: float
    """|A (u + m v) - A u| / |A u| of images where m is 0, or of the inner products where only they
    tell; 0.0 for a batch of one."""
    seen: float
    """|A u| / |u|, the least of the batch."""
    doubts: tuple[str, ...]
    """Sentences with the number and the remedy, of all but the adjoint."""
    adjoint_wrong: str
    """A sentence if A_adjoint is not the adjoint of an A that passed; else empty."""


def check_operator(
    op: LinearPhysics, y: Tensor, x: Image, remembered: bool = True
) -> OperatorCheck:
    """Ask op for four products, in the dtype and on the device of y [B, ...] and x [B, C, H, W].

    x, usually a first estimate, gives the size of images and their range. The answer is remembered
    for as long as the operator lives, by the shapes, dtype and device, and asked anew once a
    tensor, number or function that the operator holds has changed; an operator whose function reads
    something outside of it is asked once, unless `remembered` is False.
    Raises ValueError if A x is not of the shape of y, or A_adjoint(y) not of the shape of x.
    """
    if not remembered:
        return _asked(op, y, x)
    place = (x.dtype, x.device, x.shape, y.shape)
    try:
        with _lock:
            known = _known.setdefault(op, {}).get(place)
    except TypeError:  # it can be no key; then it is asked each time
        return _asked(op, y, x)
    if known is not None and known.is_of(op):
        return known.answer
    answer = _asked(op, y, x)
    with _lock:
        # the state now: an operator may keep what its first product has computed
        _known.setdefault(op, {})[place] = _Known(answer, *_state(op))
    return answer


class _Known(NamedTuple):
    """An answer, and the state of the operator that gave it."""

    answer: OperatorCheck
    state: tuple
    held: list[ref]
    """Things known by their place in memory, where something else may lie once they are gone."""

    def is_of(self, op: LinearPhysics) -> bool:
        return all(thing() is not None for thing in self.held) and self.state == _state(op)[0]


@torch.no_grad()
def _asked(op: LinearPhysics, y: Tensor, x: Image) -> OperatorCheck:
    # A copy of a large image is a good part of the memory that there is: none stays for long.
    draws, x = Draws(y), x.detach()
    x = x if bool(x.isfinite().all()) else x.nan_to_num(0, 0, 0)
    size = norm(x) / math.sqrt(x[0].numel())
    size = torch.where(size > 0, size, 1)
    u = draws.normal(x).mul_(per_image(ROUGHNESS * size, x)).add_(x)
    v = draws.normal(x).mul_(per_image(size, x))
    chosen = torch.arange(len(x), device=x.device) % 2 == 0
    m = per_image(chosen.to(size), x)
    Au, Av, Amixed = _shaped("A x", op.A(u), y), op.A(v), op.A(u + m * v)
    if not all(bool(product.isfinite().all()) for product in (Au, Av, Amixed)):
        said = "A gives NaN or infinite values for finite images; it has to take any real numbers"
        return OperatorCheck(math.inf, math.inf, math.inf, 0.0, (said,), "")
    gap = (Amixed - Au).sub_(per_image(chosen.to(size), Av) * Av)
    bent = share(gap, norm(Au) + norm(Av))
    del Amixed
    gap = gap if bool((bent > TOLERANCE).any()) else gap[:0].clone()
    noise = draws.normal(Au)
    w = noise.mul_(per_image(norm(Au) / norm(noise), Au)).add_(Au)
    back = _shaped("A_adjoint(y)", op.A_adjoint(w), x)

    linearity = bent[chosen].max().item()
    independence = bent[~chosen].max().item() if len(x) > 1 else 0.0
    alone, together = _adjoint_errors(u, v, Au, Av, w, back, size)
    mixed = independence > TOLERANCE or (alone > TOLERANCE >= together)
    if mixed:  # <A u, w> of one image then has its other half in another
        independence, alone = max(independence, alone), together
    bends = linearity > TOLERANCE
    if bends and mixed:  # perhaps only because of the others; change them too
        gap, chosen = op.A(u + v) - Au - Av, torch.ones_like(chosen)
        linearity = share(gap, norm(Au) + norm(Av)).max().item()
        bends = linearity > TOLERANCE
    seen = (norm(Au) / norm(u)).min().item()
    doubts = []
    if not (norm(Au) + norm(Av)).min() > 0:
        doubts.append("A sees nothing: A u is 0 for a random image u; nothing can be restored")
    again = share(op.A(u) - Au, norm(Au)).max().item() if bends or mixed else 0.0
    if not again <= TOLERANCE:
        doubts.append(
            f"A answers the same images differently, by {again:.1e} of the answer's size; noise "
            "belongs into op.noise_model, and an A that draws or counts has no gradient"
        )
    else:
        if bends:
            doubts.append(_not_linear(op, u, Au, gap, chosen, linearity))
        if mixed:
            doubts.append(
                "A mixes the images of a batch: a change of the others changes an image's "
                f"measurement by {independence:.1e} of its size; restore one image at a time"
            )
    wrong = "" if bends else _adjoint_sentence(alone)
    return OperatorCheck(alone, linearity, independence, seen, tuple(doubts), wrong)


def _adjoint_errors(
    u: Image, v: Image, Au: Tensor, Av: Tensor, w: Tensor, back: Image, size: PerImage
) -> tuple[float, float]:
    """The errors of the worst image, and of the sums over the batch.

    <v, A^T w> of a random v is about |v_i| |A^T w|, small beside |A v| |w|. Over that, an error in
    a part of the image shows that the product of norms would drown.
    """
    of_u, of_v = dot(Au, w) - dot(u, back), dot(Av, w) - dot(v, back)
    large = norm(Au) * norm(w)
    small = size * norm(back) + norm(Av) * norm(w) / math.sqrt(w[0].numel())
    pairs = ((of_u, large), (of_v, small))
    alone = [ratio(gap.abs(), scale).max() for gap, scale in pairs]
    together = [ratio(gap.sum().abs(), scale.norm()) for gap, scale in pairs]
    return worst(alone), worst(together)


def _not_linear(
    op: LinearPhysics, u: Image, Au: Tensor, bent: Tensor, chosen: Tensor, error: float
) -> str:
    """Why A (u + v) is not A u + A v: one more product tells a constant apart."""
    offset = op.A(torch.zeros_like(u))
    if norm(offset).max() > 0 and not share(bent + offset, norm(Au))[chosen].max() > TOLERANCE:
        size = share(offset, norm(Au)).max().item()
        return (
            f"A is affine, not linear: A(0) is {size:.1e} of the size of A u; restore y - A(0) "
            "with x -> A(x) - A(0)"
        )
    return (
        f"A is not linear: A (u + v) differs from A u + A v by {error:.1e} of its size; clipping, "
        "rounding and curves belong after the measurement: invert them in y, or leave them out of A"
    )


def _adjoint_sentence(error: float) -> str:
    if error <= TOLERANCE:
        return ""
    return (
        f"A_adjoint is not the adjoint of A: <A u, w> and <u, A_adjoint w> differ by {error:.1e} "
        "of their size; deepinv.physics.adjoint_function(A, shape) makes the right one"
    )


def share(gap: Tensor, scale: PerImage) -> PerImage:
    """|gap| / scale of each image."""
    return ratio(norm(gap), scale)


def ratio(gap: Tensor, scale: Tensor) -> Tensor:
    """gap / scale, 0 where both are 0."""
    return torch.where(gap > 0, gap / scale, 0 * gap)


def worst(errors: list[Tensor]) -> float:
    """The largest of them; infinite if one is NaN."""
    largest = torch.stack(errors).max().item()
    return math.inf if math.isnan(largest) else largest


def _shaped(what: str, made: Tensor, like: Tensor) -> Tensor:
    if made.shape != like.shape:
        raise ValueError(
            f"{what} has shape {list(made.shape)}, expected {list(like.shape)}; does the "
            "measurement fit the operator?"
        )
    return made


def _state(op: LinearPhysics) -> tuple[tuple, list[ref]]:
    """Contents of the operator and its parts: tensors by place and version, numbers by value."""
    marks: list[tuple] = []
    held: list[ref] = []
    for module in op.modules():
        tensors = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for name, value in (*tensors, *vars(module).items()):
            marks.append((name, _mark(value)))
            with suppress(TypeError):  # a number, or a list
                held.append(ref(value))
    return tuple(marks), held


def _mark(value: Tensor | float | str | Callable | None) -> tuple:
    if isinstance(value, Tensor):
        version = None if value.is_inference() else value._version
        place = value.data_ptr() if value.layout is torch.strided else None
        return (id(value), place, version)
    if value is None or isinstance(value, (bool, int, float, str)):
        return (value,)
    return (id(value),)
