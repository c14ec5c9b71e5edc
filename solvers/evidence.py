"""Evidence that a run's proxes were those of one function, from the run's own evaluations.

A solver asked for K proxes, x_i = f(v_i). There is a function R with x_i a global minimiser of
|x - v_i|^2 / 2 + R(x) for every i if and only if numbers psi_i exist with

    psi_j >= psi_i + <x_i, v_j - v_i>   for all i, j,

that is, if the pairs are cyclically monotone [Rockafellar70]. Then psi(v) = max_i (psi_i +
<x_i, v - v_i>) is convex, R = psi* - |.|^2 / 2, and R(x_i) = <x_i, v_i> - |x_i|^2 / 2 - psi_i. So
the run was the exact algorithm on f + R, whatever network stood behind the prox. Inner products
and a shortest-path computation decide, one Gram matrix for each image:

    found = interpolation(v, x)             # v, x [K, ...], of one image
    found.margin > 0

The margin is the largest m for which (v_i, x_i - m v_i) still passes: 0 is the limit, and the
eigenvalues of the Jacobian that the run met lie above it. R need not be convex. It is where the
pairs (x_i, v_i - x_i), points and subgradients, pass the same test.

Rounding: x_i is known to `CROSS` units in the last place of its dtype, times its norm, and a
reported value to `VALUE` of them, times |x|^2 / sqrt(n). Inequalities may be broken by that much
and no more; so of two evaluations nearer than rounding nothing is said.
"""

from collections.abc import Sequence
from math import inf, sqrt
from typing import NamedTuple

import torch
from torch import Tensor

from solvers.protocols import doubles, float_for_sums

CROSS = 2.0
"""Error of <x_i, v_i - v_j> in units in the last place times |x| |v_i - v_j|."""
VALUE = 12.0
"""Error of a reported value in units in the last place times |x|^2 / sqrt(n), n pixels."""
INFORMATIVE = 30.0
"""Length of a difference of gradients, in units of its error, from which on it says something."""
CHUNK = 2**19
"""Numbers that are held in float64 at once: they fit a cache."""
HALVINGS = 14
"""Bisections of a margin: it is known to 1e-4."""


class Interpolation(NamedTuple):
    """Verdict of K evaluations of a prox, of one image.

    >>> from solvers.evidence import interpolation
    >>> v = torch.randn(5, 9)
    >>> found = interpolation(v, -v)   # no prox turns its argument round
    >>> round(found.margin, 6), found.low.shape
    (-1.0, torch.Size([5]))
    """

    margin: float
    """Largest m for which (v_i, x_i - m v_i) is cyclically monotone; inf if K = 1."""
    convex_margin: float
    """Largest m for which (x_i, v_i - x_i - m x_i) is: at least 0 if R may be convex."""
    value_margin: float | None
    """Largest m for which psi - m |v|^2 / 2 satisfies every inequality at the psi of the reported
    values; None without them."""
    low: Tensor
    """R(x_i) - R(x_last) is at least this, float64 [K]: over all R that fit the evaluations."""
    high: Tensor
    """It is at most this; both are NaN where no R fits."""


class Gram(NamedTuple):
    """Inner products of K evaluations, less the last one of them: float64 [K, K] or [K].

    >>> from solvers.evidence import gram
    >>> table = gram(torch.eye(3), torch.eye(3) / 2)   # three evaluations: unit vectors, halved
    >>> table.xx.shape
    torch.Size([3, 3])
    """

    xx: Tensor
    xv: Tensor
    """<x_i, v_j>."""
    vv: Tensor
    x_rest: Tensor
    """<x_i - x_last, v_last - x_last>."""
    unit: float
    """One unit in the last place, times the largest |x_i|."""
    value_unit: float
    """The same times |x| / sqrt(n)."""


def interpolation(
    v: Sequence[Tensor] | Tensor, x: Sequence[Tensor] | Tensor, values: Tensor | None = None
) -> Interpolation:
    """Verdict of the evaluations x_i of a prox at v_i; the last one is that of the result.

    v, x: K tensors of one shape, in the dtype in which the prox ran. values: R(x_i) as the prior
    reports it, [K], in units of |x|^2: tau g. Raises ValueError unless there are as many v as x,
    one at least. Sources: [Rockafellar70], math of the module above.

    >>> from solvers.evidence import interpolation
    >>> v = torch.randn(5, 9)
    >>> round(interpolation(v, v / 2).margin, 6)   # above 0: they may be of one prox
    0.5
    """
    if len(v) != len(x) or len(v) == 0:
        raise ValueError(f"evidence is of pairs (v, x), got {len(v)} of v and {len(x)} of x")
    return judge(gram(v, x), values)


def curvature(
    point: Sequence[Tensor], v: Sequence[Tensor], tau: float, accuracy: float = 0.0
) -> tuple[float, float]:
    """Largest curvature of f that the run met, and how far its gradients were from monotone.

    point, v: K tensors with v_i = point_i - tau grad f(point_i). For a convex f whose gradient is
    L-Lipschitz, |e|^2 <= L <e, d> for the differences d of two points and e of their gradients
    [Nesterov18, Thm. 2.1.5]. The first number is the largest |e|^2 / <e, d>, the second the least
    <e, d> / (|e| |d|), which may not be negative: over neighbours and over pairs with the last, of
    those that `accuracy`, the relative error of points, and rounding leave something to say. They
    are 0 and 1 where there is none.

    >>> from solvers.evidence import curvature
    >>> points = torch.randn(4, 6)
    >>> L, least = curvature(points, points - 0.1 * 3 * points, tau=0.1)   # f = 3 |x|^2 / 2
    >>> round(L, 3), round(least, 3)
    (3.0, 1.0)
    """
    most, least = 0.0, 1.0
    count = len(point)
    error = CROSS * torch.finfo(point[0].dtype).eps + accuracy
    pairs = {(i, i + 1) for i in range(count - 1)} | {(i, count - 1) for i in range(count - 1)}
    size = float(torch.linalg.vector_norm(point[-1], dtype=float_for_sums(point[-1])))
    for i, j in sorted(pairs):
        apart, length, along = _differences(point[i], point[j], v[i], v[j])
        if length < INFORMATIVE * error * size:
            continue
        least = min(least, along / (length * apart))
        if along > 0:
            most = max(most, length**2 / (along * tau))
    return most, least


def _differences(
    point: Tensor, other: Tensor, v: Tensor, other_v: Tensor
) -> tuple[float, float, float]:
    """|d|, |e| and <e, d> of d = point - other, e = d - (v - other_v), a few pixels at a time.

    e is tau times the difference of gradients.
    """
    sums = doubles(point.new_zeros(3))
    flat = [one.detach().reshape(-1).split(CHUNK) for one in (point, other, v, other_v)]
    for a, b, c, d in zip(*flat, strict=True):
        away = doubles(a - b)
        bent = away - doubles(c - d)
        sums += torch.stack([away @ away, bent @ bent, bent @ away])
    apart, length, along = sums.tolist()
    return sqrt(apart), sqrt(length), along


def judge(found: Gram, values: Tensor | None = None) -> Interpolation:
    """`interpolation` of evaluations whose inner products are known.

    >>> from solvers.evidence import gram, judge
    >>> v = torch.randn(5, 9)
    >>> round(judge(gram(v, v / 2)).margin, 3)
    0.5
    """
    xx, xv, vv = found.xx, found.xv, found.vv
    to_v, to_x = distances(vv), distances(xx)
    own = _error_of_sums(found)
    slack = CROSS * found.unit * to_v.sqrt() + own
    cost = xv.diagonal()[:, None] - xv + slack
    margin = cycle_margin(cost, to_v / 2)
    rest = xv.mT - xx  # <v_i - x_i, x_j>
    convex = rest.diagonal()[:, None] - rest + CROSS * found.unit * to_x.sqrt() + own
    low = high = xx.new_full((len(xx),), float("nan"))
    if margin >= 0:
        paths = shortest(cost)
        known = xv.diagonal() - xx.diagonal() / 2 + found.x_rest  # R_i - R_last + psi_i - psi_last
        low, high = known - paths[:, -1], known + paths[-1]
    value_margin = None
    if values is not None:
        value_margin = _value_margin(found, values.to(xx), to_x, to_v)
    return Interpolation(margin, cycle_margin(convex, to_x / 2), value_margin, low, high)


def gram(v: Sequence[Tensor] | Tensor, x: Sequence[Tensor] | Tensor) -> Gram:
    """Inner products of the evaluations, in float64, a few pixels of all of them at a time.

    >>> from solvers.evidence import gram
    >>> v = torch.randn(5, 3, 8, 8)
    >>> gram(v, v / 2).xv.shape
    torch.Size([5, 5])
    """
    count, pixels = len(v), v[0].numel()
    flat = [one.detach().reshape(-1) for one in (*x, *v)]
    none = doubles(x[0].new_zeros(1))  # on the CPU where a device has no float64
    by_x, vv = none.new_zeros(count, 2 * count), none.new_zeros(count, count)
    rest, size = none.new_zeros(count), none.new_zeros(count)
    step = max(1, CHUNK // (2 * count))
    for start in range(0, pixels, step):
        both = doubles(torch.stack([one[start : start + step] for one in flat]))
        xs, vs = both[:count], both[count:]
        size += torch.linalg.vector_norm(xs, dim=1).square()
        last = vs[-1] - xs[-1]
        xs -= xs[-1].clone()
        vs -= vs[-1].clone()
        by_x.addmm_(xs, both.mT)
        vv.addmm_(vs, vs.mT)
        rest.addmv_(xs, last)
    by_x, vv, rest = (table.cpu() for table in (by_x, vv, rest))
    largest = float(size.max().sqrt())
    unit = torch.finfo(x[0].dtype).eps / 2 * largest
    return Gram(by_x[:, :count], by_x[:, count:], vv, rest, unit, unit * largest / sqrt(pixels))


def distances(table: Tensor) -> Tensor:
    """Squared distances [K, K] of points whose inner products are given.

    >>> from solvers.evidence import distances
    >>> points = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    >>> distances(points @ points.T)
    tensor([[ 0., 25.],
            [25.,  0.]])
    """
    squares = table.diagonal()
    return (squares[:, None] + squares - table - table.mT).clamp(min=0)


def cycle_margin(cost: Tensor, price: Tensor) -> float:
    """Largest m for which no cycle of the complete graph has a negative sum of cost - m price.

    cost, price: [K, K], price >= 0 and 0 on the diagonal alone, or nearly. inf for K = 1, -inf for
    costs that are no numbers.

    >>> from solvers.evidence import cycle_margin
    >>> away = torch.ones(3, 3) - torch.eye(3)
    >>> round(cycle_margin(2 * away, away), 6)
    2.0
    """
    away = price > 0
    if not bool(cost.isfinite().all() and price.isfinite().all()):
        return -inf
    if not away.any():
        return inf
    there_and_back = (cost + cost.mT)[away] / (price + price.mT)[away]
    high = float(there_and_back.min())
    if possible(cost - high * price):
        return high
    low, width = min(high, 0.0), max(1.0, abs(high)) / 64  # a margin of 0 is met exactly
    while not possible(cost - low * price):
        low, width = low - width, 2 * width
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if possible(cost - middle * price) else (low, middle)
    return low


def possible(cost: Tensor) -> bool:
    """Whether numbers psi exist with psi_i - psi_j <= cost_ij: whether no cycle is negative.

    >>> from solvers.evidence import possible
    >>> possible(torch.tensor([[0.0, 1.0], [-2.0, 0.0]]))   # there and back costs -1
    False
    """
    scale = float(cost.abs().max())
    return bool((shortest(cost).diagonal() >= -1e-12 * scale).all())


def shortest(cost: Tensor) -> Tensor:
    """Least sums of cost along paths from i to j, [K, K]. [Floyd62]

    >>> from solvers.evidence import shortest
    >>> shortest(torch.tensor([[0.0, 1.0, 9.0], [1.0, 0.0, 1.0], [9.0, 1.0, 0.0]]))
    tensor([[0., 1., 2.],
            [1., 0., 1.],
            [2., 1., 0.]])
    """
    paths = cost.clone()
    paths.fill_diagonal_(0.0)
    for k in range(len(paths)):
        torch.minimum(paths, paths[:, k : k + 1] + paths[k], out=paths)
    return paths


def _error_of_sums(found: Gram) -> float:
    """Error of an inner product in float64: it counts where the evaluations are in float64 too."""
    x, v = (float(table.diagonal().max()) ** 0.5 for table in (found.xx, found.vv))
    return 4 * torch.finfo(found.xx.dtype).eps * x * (x + v)


def _value_margin(found: Gram, values: Tensor, to_x: Tensor, to_v: Tensor) -> float:
    """Largest m with s_ij >= m |v_i - v_j|^2 / 2, s_ij = psi_j - psi_i - <x_i, v_j - v_i>.

    With d = x_i - x_j it is s_ij = R_i - R_j + |d|^2 / 2 - <d, v_j - x_j>: nothing large cancels.
    """
    products = found.xv - found.xx  # <x_i - x_last, (v_j - x_j) - (v_last - x_last)>
    toward = products - products.diagonal() + found.x_rest[:, None] - found.x_rest
    surplus = values[:, None] - values + to_x / 2 - toward
    # by their spread: a constant of 1e20 would else allow for any difference
    spread = float((values - values[-1]).abs().max())
    floor = VALUE * found.value_unit + 4 * torch.finfo(values.dtype).eps * spread
    surplus = surplus + floor + CROSS * found.unit * to_x.sqrt()
    if not bool(surplus.isfinite().all()):
        return -inf
    # where surplus is an allowance alone the quotient says nothing; the least one counts
    apart = to_v > 0
    return float((2 * surplus[apart] / to_v[apart]).min()) if apart.any() else inf
