"""The exact prox of -lam log p for a Gaussian mixture p: Newton's method from enough starts.

It minimises F(x) = |x - v|^2 / 2 + lam g(x), g = -log p, for many v at once. Newton's step is taken
where F is convex and does not rise by it. Elsewhere it is mixed with the step of expectation
maximisation, which minimises an upper bound that touches F, so that F never rises by it.
"""

import torch
from torch import Tensor

from proxlab.priors.exact.mixture_starts import (
    ConvexStart,
    GridStarts,
    ShareStarts,
    Starts,
    grid_starts,
)
from proxlab.priors.exact.mixture_terms import (
    CHUNK_NUMBERS,
    AlikeTerms,
    MixtureTerms,
    Terms,
    mixture_terms,
    solved,
)

NEWTON_STEPS = 300
LAST_STEP = 2e-5
"""Largest last step of Newton's method in least deviations: the next would be its square."""
SLOW = 2e6
"""Factor by which the last step must be smaller where steps shrink only by a factor."""


def mixture_prox(
    weights: Tensor, means: Tensor, covariances: Tensor, v: Tensor, lam: Tensor
) -> Tensor:
    """The prox [N, d] at points v [N, d] for lam [] or [N]: the least of the minima found.

    Covariances are variances [K] or matrices [K, d, d], positive definite.
    """
    if not len(v):
        return v
    terms = mixture_terms(weights, means, covariances)
    c = covariances
    deviation = float((c if c.ndim == 1 else torch.linalg.eigvalsh(c)).min()) ** 0.5
    v, lam = v.T.contiguous(), lam.expand(len(v))
    if isinstance(terms, AlikeTerms) and terms.convex(lam.amax()):
        one, parts = ConvexStart(terms, weights, means), []
        for columns, each in zip(v.split(terms.chunk, 1), lam.split(terms.chunk), strict=True):
            parts.append(descend(terms, one(columns, each), columns, each, deviation)[0])
        return torch.cat(parts, 1).T.contiguous()
    grid = grid_starts(terms, means, covariances, v, lam)
    searches: list[GridStarts | ShareStarts] = [grid] if grid else []
    # A grid between v and the means may miss where long components cross.
    if not grid or c.ndim == 3:
        searches.append(ShareStarts(terms, weights, means, covariances))
    chunk = min(terms.chunk, *(max(1, CHUNK_NUMBERS // search.size) for search in searches))
    ends = []
    for columns, each in zip(v.split(chunk, 1), lam.split(chunk), strict=True):
        end, least = torch.empty_like(columns), torch.full_like(each, torch.inf)
        for search in searches:
            i, x, first = search(columns, each)
            x, value = descend(terms, Starts(i, x, first), columns[:, i], each[i], deviation)
            least = least.scatter_reduce(0, i, value, "amin")
            best = (value <= least[i]).nonzero()[:, 0]
            end[:, i[best]] = x[:, best]
        ends.append(end)
    return torch.cat(ends, 1).T.contiguous()


def descend(
    terms: MixtureTerms, starts: Starts, v: Tensor, lam: Tensor, deviation: float
) -> tuple[Tensor, Tensor]:
    """Minima [d, S] to which the starts lead, and F there [S]; v [d, S], lam [S] are theirs."""
    x, here = starts.x, starts.first
    end, least = x.clone(), torch.empty_like(lam)
    rows = torch.arange(len(lam), device=lam.device)
    close = LAST_STEP * deviation
    old, held, mu = x, torch.full_like(lam, torch.inf), torch.zeros_like(lam)
    for _ in range(NEWTON_STEPS):
        off = x - v
        value, grad = off.square().sum(0) / 2 + lam * here.value, off + lam * here.slope
        step, convex = solved(lam, here.hessian, grad)
        # A rise within rounding is none, or the end would never be reached.
        rise = value > held + 1e-13 * (held.abs() + lam)
        careful = rise | ~convex | (mu > 0)
        if careful.any():
            k = careful.nonzero()[:, 0]
            raised = torch.where(rise, (4 * mu).clamp(0.1, 1), torch.where(mu < 0.02, 0, mu / 4))
            if rise.any():
                value, x = torch.where(rise, held, value), torch.where(rise, old, x)
                again = terms(x[:, k])
                grad[:, k] = x[:, k] - v[:, k] + lam[k] * again.slope
            else:
                again = here.at(k)
            step[:, k], mu[k] = _blended(again, grad[:, k], lam[k], raised[k])
        small = torch.where(mu > 0, close / SLOW, close) if terms.newton else close / SLOW
        done = step.abs().amax(0) <= small
        if terms.newton:
            # Where F is nearly flat Newton's method is slow as well, but nothing is left to gain.
            done |= (step * grad).sum(0) <= 1e-16 * (value.abs() + lam) * (1 - mu)
        old, held, x = x, value, x - step
        if done.all() and len(done) == len(least):
            return x, held
        if done.any():
            k, left = done.nonzero()[:, 0], (~done).nonzero()[:, 0]
            end[:, rows[k]], least[rows[k]] = x[:, k], held[k]
            if not len(left):
                return end, least
            rows, x, v, lam = rows[left], x[:, left], v[:, left], lam[left]
            old, held, mu = old[:, left], held[left], mu[left]
        here = terms(x)
    end[:, rows], least[rows] = old, held
    return end, least


def _blended(here: Terms, grad: Tensor, lam: Tensor, mu: Tensor) -> tuple[Tensor, Tensor]:
    """The step by a mean of Hessian and pull in place of the Hessian, and the weight of the pull.

    The weight is mu, or more where that mean is not positive definite. Weight 1 always is, and is
    expectation maximisation.
    """
    step, weight = solved(lam, here.pull, grad)[0], torch.ones_like(mu)
    pull = here.pull
    if len(pull) < len(here.hessian):
        pull = pull * torch.eye(len(here.hessian)).to(pull)[..., None]
    for level in (mu.clamp(min=0.5), mu):
        trial, convex = solved(lam, level * pull + (1 - level) * here.hessian, grad)
        step, weight = torch.where(convex, trial, step), torch.where(convex, level, weight)
    return step, weight
