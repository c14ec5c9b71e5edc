"""Random Gaussian mixtures of every kind, for the tests of the laboratory."""

import torch

from proxlab.priors.exact.mixtures import Mixture

KINDS = ("alike", "round", "full")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def mixture(kind, d, seed=0, k=None, reach=2.0, size=None):
    """A random mixture of a random scale, so that some modes overlap and others do not."""
    g = generator(seed)

    def uniform(*shape):
        return torch.rand(*shape, dtype=torch.float64, generator=g)

    k = k or int(torch.randint(2, 8, (1,), generator=g))
    weights, means = uniform(k) + 0.1, reach * (2 * uniform(k, d) - 1)
    size = size or float(10 ** (-1 + uniform(1)))
    if kind == "full":
        b = torch.randn(k, d, d, dtype=torch.float64, generator=g)
        covariances = size**2 * (b @ b.mT / d + 0.05 * torch.eye(d))
    else:
        deviations = size * (0.3 + uniform(k)) if kind == "round" else torch.full((k,), size)
        covariances = deviations.double().square()
    return Mixture(weights / weights.sum(), means, covariances)


def build(weights, means, covariances):
    return Mixture(*(torch.tensor(a, dtype=torch.float64) for a in (weights, means, covariances)))


def axes(d, low, high, n):
    axis = torch.linspace(low, high, n, dtype=torch.float64)
    return torch.cartesian_prod(*[axis] * d).view(-1, d), ((high - low) / (n - 1)) ** d
