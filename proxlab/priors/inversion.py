"""Solutions of f(v) = x where f is the gradient of a convex potential, for a batch of images.

The solution minimises psi(v) - <x, v>. The method is limited-memory BFGS [Nocedal06, Alg. 7.4],
with a memory, a step and a stop of its own for each image. A step is accepted by the slope along it
alone, because the values of psi lose their digits long before its gradient does. The first guess of
the inverse Jacobian comes from the gain of f at each local frequency (`local_gains`), learned from
all steps. Refused steps count among them: f is steeper ahead, and the next direction knows by how
much.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from proxlab.priors.local_gains import Energies, energies, local_gains, undo_gains

NO_GRADIENT = (
    "the inverse of a prox is not differentiated; detach its images, x.detach(), or differentiate "
    "the value, whose gradient is inverse(x) - x"
)
MEMORY = 20
"""Steps that L-BFGS remembers."""
FADING = 0.9
"""Factor by which each step fades the earlier ones in the gains."""
REFUSALS, SHORTENING = 2, 0.25
"""Refusals in a row from which on each shortens the step, and the factor by which it does."""


def invert(
    f: Callable[[Tensor, Tensor], Tensor], x: Tensor, *, tol: float, max_steps: int = 1000
) -> Tensor:
    """The v with |f(v) - x| <= tol * |x - mean(x)| for each image of x [B, C, H, W], from v = x.

    f(v, index) is f at images v, which are the images `index` of the batch. An image that is
    constant to rounding is inverted to rounding. Raises RuntimeError, with the image and the
    residual that it reached, after `max_steps` evaluations of f, ValueError for an x that holds NaN
    or infinity.
    """
    strange = ~x.isfinite().flatten(1).all(1)
    if strange.any():
        first = int(strange.int().argmax())
        raise ValueError(f"image {first} holds NaN or infinity; the prox is not inverted there")
    scale = (x - x.mean((1, 2, 3), keepdim=True)).flatten(1).norm(dim=1)
    # On a constant image the scale is nothing, and rounding all that a residual can be.
    rounding = 64 * torch.finfo(x.dtype).eps * x.flatten(1).norm(dim=1)
    bound = torch.where(scale <= rounding, rounding, tol * scale)
    result, index = x.clone(), torch.arange(len(x), device=x.device)
    output = f(x, index)
    v, grad = x, output - x
    seen = energies(v, output)
    pairs: list[tuple[Tensor, Tensor]] = []
    refusals = torch.zeros_like(index)
    direction, evaluations = -undo_gains(local_gains(seen), grad), 1
    while True:
        residual = grad.flatten(1).norm(dim=1)
        open_ = ~(residual <= bound[index])
        result[index] = v
        if not open_.any():
            return result
        if evaluations >= max_steps:
            worst = int((residual / scale[index]).argmax())
            raise RuntimeError(
                f"the prox could not be inverted for image {int(index[worst])}: relative residual "
                f"{float(residual[worst] / scale[index][worst]):.2g} above {tol:.2g} after "
                f"{max_steps} evaluations; try float64 or a larger tol"
            )
        if not open_.all():
            index, v, grad, direction, refusals = (
                a[open_] for a in (index, v, grad, direction, refusals)
            )
            seen = Energies(*(e[open_] for e in seen))
            pairs = [(s[open_], y[open_]) for s, y in pairs]
        step = SHORTENING ** (refusals + 1 - REFUSALS).clamp(min=0).to(x)
        trial = v + step.view(-1, 1, 1, 1) * direction
        trial_grad = f(trial, index) - x[index]
        evaluations += 1
        # A slope grown positive means that the step went too far.
        accepted = _dot(trial_grad, direction) <= 0.9 * _dot(grad, direction).abs()
        moved, turned = trial - v, trial_grad - grad
        curved = (_dot(moved, turned) > 0).view(-1, 1, 1, 1)
        pairs.append((torch.where(curved, moved, 0), torch.where(curved, turned, 0)))
        pairs = pairs[-MEMORY:]
        latest = energies(moved, turned)
        seen = Energies(
            *(torch.where(curved, FADING * e + n, e) for e, n in zip(seen, latest, strict=True))
        )
        pick = accepted.view(-1, 1, 1, 1)
        v, grad = torch.where(pick, trial, v), torch.where(pick, trial_grad, grad)
        refusals = torch.where(accepted, 0, refusals + 1)
        direction = -_inverse_hessian(pairs, local_gains(seen), grad)


def _inverse_hessian(pairs: list[tuple[Tensor, Tensor]], gains: Tensor, grad: Tensor) -> Tensor:
    """Inverse Hessian times grad by the two-loop recursion; a pair of zeros counts for nothing."""
    q, alphas = grad, []
    for s, y in reversed(pairs):
        curvature = _dot(s, y)
        rho = torch.where(curvature > 0, 1 / curvature, 0)
        alpha = rho * _dot(s, q)
        q = q - alpha.view(-1, 1, 1, 1) * y
        alphas.append((rho, alpha))
    q = undo_gains(gains, q)
    for (s, y), (rho, alpha) in zip(pairs, reversed(alphas), strict=True):
        q = q + (alpha - rho * _dot(y, q)).view(-1, 1, 1, 1) * s
    return q


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(1).sum(1)
