"""The fit of a log-density to images, by k-means and maximum likelihood, without gradients."""

import torch
import torch.nn.functional as F
from torch import Tensor

from proxlab.priors.lpn.log_density import LogDensityConfig, LogDensityPotential

LEAST_VARIANCE = 1e-4
"""Least variance outside a subspace, image units; a block that is always black would have none."""
NEARLY_CLEAN = 1e-3
"""Noise level at which images are given to components."""
KMEANS_ROUNDS = 12
POWER_ROUNDS = 6
CLASS_ROUNDS = 4


def fit_mixture(
    images: Tensor, config: LogDensityConfig, generator: torch.Generator, rounds: int = 1
) -> LogDensityPotential:
    """A log-density fitted to images [N, C, H, W] in [0, 1]: k-means, then EM with hard choices.

    In each block, each round gives every image to its likeliest Gaussian. A Gaussian then takes the
    mean of its images, their principal directions and the variance left over, its most likely
    parameters [Tipping99]. Images are given to classes in the same way. Raises ValueError for fewer
    images than Gaussians or classes, and for images that are not floats.
    """
    if not images.is_floating_point() or len(images) < max(config.components, config.classes):
        raise ValueError(
            f"expected float images, at least {max(config.components, config.classes)}, got "
            f"{len(images)} of {images.dtype}"
        )
    potential = LogDensityPotential(config)
    with torch.no_grad():
        blocks = potential.cut(images).transpose(0, 1).contiguous()
        owners = torch.stack([_k_means(x, config.components, generator) for x in blocks])
        for k in range(rounds):
            if k:
                owners = _owners(potential, images)
            for i, x in enumerate(blocks):
                order = owners[i].argsort(stable=True)
                counts = owners[i].bincount(minlength=config.components)
                for j, members in enumerate(x[order].split(counts.tolist())):
                    if len(members):  # an empty component stays where it was
                        mean, factor, residual = _principal(members, config.rank, generator)
                        potential.means[i, j], potential.factors[i, j] = mean, factor
                        potential.log_residual[i, j] = residual.log()
        chosen = F.one_hot(owners, config.components).float()  # [P, N, J]
        owner = _k_means(images.flatten(1), config.classes, generator)
        for _ in range(CLASS_ROUNDS):
            belongs = F.one_hot(owner, config.classes).float()
            counts = torch.einsum("nk,pnj->kpj", belongs, chosen)
            # As if each Gaussian had been seen once more, over all classes.
            counts = counts + chosen.mean(1) + 1 / config.components
            potential.choices.copy_(counts.log())
            potential.classes.copy_((belongs.sum(0) + 1).log())
            log_choices = potential.choices.log_softmax(2)
            likely = torch.einsum("kpj,pnj->nk", log_choices, chosen)
            owner = (likely + potential.classes.log_softmax(0)).argmax(1)
    return potential


def _owners(potential: LogDensityPotential, images: Tensor) -> Tensor:
    """Number of the likeliest Gaussian in each block, [P, N]."""
    parts = images.split(1000)
    levels = [torch.full((len(part),), NEARLY_CLEAN) for part in parts]
    return torch.cat(
        [potential.likeliest(x / NEARLY_CLEAN, s) for x, s in zip(parts, levels, strict=True)]
    ).T


def _k_means(x: Tensor, components: int, generator: torch.Generator) -> Tensor:
    """Number of each row's cluster, [N], by Lloyd's rounds from random rows.

    An empty cluster starts anew at a row far from all centres.
    """
    centres = x[torch.randperm(len(x), generator=generator)[:components]].clone()
    for _ in range(KMEANS_ROUNDS):
        distance, owner = (centres.square().sum(1) / 2 - x @ centres.T).min(1)
        counts = torch.bincount(owner, minlength=components)
        sums = torch.zeros_like(centres).index_add(0, owner, x)
        centres = sums / counts.clamp(min=1)[:, None]
        empty = (counts == 0).nonzero()[:, 0]
        far = (distance + x.square().sum(1) / 2).topk(len(empty)).indices
        centres[empty] = x[far]
    return owner


def _principal(x: Tensor, rank: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, factor [rank, n] and left-over variance of rows x, by subspace iteration."""
    n = x.shape[1]
    mean = x.mean(0)
    d = (x - mean).double()
    basis = torch.randn(n, rank, generator=generator, dtype=torch.float64)
    for _ in range(POWER_ROUNDS):
        basis = torch.linalg.qr(d.T @ (d @ basis))[0]
    seen = d @ basis
    variances, turn = torch.linalg.eigh(seen.T @ seen / len(x))
    residual = (d.square().sum() / len(x) - variances.sum()) / (n - rank)
    residual = residual.clamp(min=LEAST_VARIANCE)
    scale = (variances - residual).clamp(min=0).sqrt()
    return mean, ((basis @ turn) * scale).T, residual
