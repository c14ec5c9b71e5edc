"""Solve f(v) = x where f is the gradient of a convex potential, for a batch of images at once.

The solution minimises psi(v) - <x, v>. Limited-memory BFGS [Nocedal06, Alg. 7.4] with its own
memory, step and stopping for each image; the step is accepted by the slope along it alone, because
the values of psi lose their digits long before its gradient does. Its first guess of the inverse
Jacobian comes from the gain of f at each local frequency (`proxlab.local_gains`).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from proxlab.local_gains import local_gains, undo_gains

MEMORY = 12
REFRESH = 8
"""Steps after which the gains of f are read anew."""


def invert(
    f: Callable[[Tensor, Tensor], Tensor], x: Tensor, *, tol: float, max_steps: int = 1000
) -> Tensor:
    """v with |f(v) - x| <= tol * |x - mean(x)| for each image [C, H, W] of a batch, from v = x.

    An image that is constant to rounding is inverted to rounding. f(v, index) evaluates the images
    `index` of the batch. Raises RuntimeError with the image and the residual that it reached after
    `max_steps` evaluations.
    """
    scale = (x - x.mean((1, 2, 3), keepdim=True)).flatten(1).norm(dim=1)
    # On a constant image the scale is nothing, and rounding all that a residual can be.
    rounding = 64 * torch.finfo(x.dtype).eps * x.flatten(1).norm(dim=1)
    bound = torch.where(scale <= rounding, rounding, tol * scale)
    result, index = x.clone(), torch.arange(len(x), device=x.device)
    output = f(x, index)
    v, grad = x, output - x
    gains = local_gains(v, output)
    pairs: list[tuple[Tensor, Tensor]] = []
    step = torch.ones(len(x), dtype=x.dtype, device=x.device)
    direction, evaluations = -undo_gains(gains, grad), 1
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
            index, v, grad, direction, step, gains = (
                a[open_] for a in (index, v, grad, direction, step, gains)
            )
            pairs = [(s[open_], y[open_]) for s, y in pairs]
        slope = _dot(grad, direction)
        trial = v + step.view(-1, 1, 1, 1) * direction
        output = f(trial, index)
        trial_grad = output - x[index]
        evaluations += 1
        trial_slope = _dot(trial_grad, direction)
        # A slope grown positive means that the step went too far: shorten by the secant.
        accepted = trial_slope <= 0.9 * slope.abs()
        pick = accepted.view(-1, 1, 1, 1)
        moved, turned = trial - v, trial_grad - grad
        keep = pick & (_dot(moved, turned) > 0).view(-1, 1, 1, 1)
        pairs.append((torch.where(keep, moved, 0), torch.where(keep, turned, 0)))
        pairs = pairs[-MEMORY:]
        v, grad = torch.where(pick, trial, v), torch.where(pick, trial_grad, grad)
        if evaluations % REFRESH == 3 % REFRESH:
            gains = torch.where(pick, local_gains(trial, output), gains)
        secant = step * (slope / (slope - trial_slope)).clamp(0.1, 0.9)
        step = torch.where(accepted, torch.ones_like(step), secant)
        direction = torch.where(pick, -_inverse_hessian(pairs, gains, grad), direction)


def _inverse_hessian(pairs: list[tuple[Tensor, Tensor]], gains: Tensor, grad: Tensor) -> Tensor:
    """The two-loop recursion; a pair of zeros (a refused step) counts for nothing."""
    q, alphas = grad, []
    for s, y in reversed(pairs):
        curvature = _dot(s, y)
        rho = torch.where(curvature > 0, 1 / curvature, 0)
        alpha = rho * _dot(s, q)
        q = q - alpha.view(-1, 1, 1, 1) * y
        alphas.append((rho, alpha))
    s, y = pairs[-1]  # the length of a first guess matters: without it twice the steps
    curvature = _dot(s, y)
    scale = torch.where(curvature > 0, curvature / _dot(y, undo_gains(gains, y)), 1)
    q = scale.view(-1, 1, 1, 1) * undo_gains(gains, q)
    for (s, y), (rho, alpha) in zip(pairs, reversed(alphas), strict=True):
        q = q + (alpha - rho * _dot(y, q)).view(-1, 1, 1, 1) * s
    return q


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(1).sum(1)
