"""An audit of a diffusion: does it reproduce its training images? `proxlab.audit`.

A sample is suspect where the ratio of its distances to the two nearest training images is below
what all but one in a hundred held-out images have. A fixed bound of 1/3 [Buchanan25], which is
told beside it, sees a copy with a noise of 0.1 on digits in one case of twenty, and the calibrated
one in nine of ten. What the test would see is tried on planted copies, and a verdict of "none
found" is given only where it would have seen them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from scipy.stats import binomtest
from torch import Tensor

from proxlab.audits.nearest import Nearest, chosen, distance_ratio
from proxlab.diffusion.mean_prox import DenoiserDiffusion
from proxlab.diffusion.models import DiffusionModel
from proxlab.sampling import sample

PAPER = 1 / 3
"""The ratio below which [Buchanan25] calls a sample a copy."""
NOISES = (0.05, 0.1, 0.2)
"""Noise of planted copies, of the range of an image, 1."""
ASKED = 0.1
"""Noise of the copies that have to be seen for a verdict of "none found"."""
POWER = 0.9
"""Share of them that has to be seen."""
SURE = 0.01
"""Probability of so many suspects by chance below which a model is said to reproduce images."""
PLANTED = 256
"""Copies of each noise, at most."""
WORST = 8
"""Samples with the smallest ratios, which are kept to be looked at."""


@dataclass(frozen=True)
class Audit:
    """Samples of a model beside its training images.

    >>> train, held_out = torch.rand(200, 1, 4, 4), torch.rand(100, 1, 4, 4)
    >>> found = proxlab.audit(train[:50], train, held_out)
    >>> found.share, found.index[found.worst[0]] == found.worst[0]
    (1.0, tensor(True))
    """

    ratio: Tensor
    """Distance to the nearest over that to the second nearest training image, [n]."""
    nearest: Tensor
    """Distance to the nearest, [n]."""
    index: Tensor
    """Place of the nearest in the training set, [n]."""
    held_out_ratio: Tensor
    """Ratios of the held-out images, [m]."""
    threshold: float
    """Ratio below which a sample is suspect: so few held-out images have less."""
    level: float
    """Share of held-out images below the threshold."""
    share: float
    """Share of the samples that are suspect."""
    interval: tuple[float, float]
    """Exact binomial interval of that share, 95 % [Clopper34]."""
    p_value: float
    """Probability of so many suspects, or more, where samples are like held-out images."""
    power: dict[float, float]
    """Noise of planted copies -> share of them that are suspect."""
    paper_share: float
    """Share of the samples whose ratio is below 1/3."""
    worst: Tensor
    """Places of the samples with the smallest ratios, least first, [8] at most."""
    pairs: Tensor
    """They, and what is nearest to them, [2, 8, C, H, W]."""

    @property
    def verdict(self) -> str:
        """One sentence: copies, none found, or not known.

        >>> x = torch.rand(300, 1, 4, 4)
        >>> proxlab.audit(x[:20], x[:200], x[200:]).verdict.partition(":")[0]
        'reproduces training images'
        """
        low, high = (f"{100 * end:.3g} %" for end in self.interval)
        if self.p_value < SURE:
            return (
                f"reproduces training images: {100 * self.share:.3g} % of samples are suspect, "
                f"{low} to {high}, where chance makes {100 * self.level:g} %"
            )
        seen = self.power[ASKED]
        if seen < POWER:
            return (
                f"not known: of copies with a noise of {ASKED:g} the test would see "
                f"{100 * seen:.0f} %, so that finding none says little"
            )
        return (
            f"none found: {100 * self.share:.3g} % of samples are suspect, at most {high}, where "
            f"chance makes {100 * self.level:g} %; of copies with a noise of {ASKED:g} the test "
            f"sees {100 * seen:.0f} %"
        )

    def __repr__(self) -> str:
        return f"Audit of {len(self.ratio)} samples: {self.verdict} (p = {self.p_value:.2g})"


def audit(
    model: str | Path | DiffusionModel | DenoiserDiffusion | Tensor,
    train: Tensor | Sequence[Tensor],
    held_out: Tensor | Sequence[Tensor],
    *,
    n: int = 256,
    steps: int = 10,
    seed: int = 0,
    level: float = 0.01,
) -> Audit:
    """Look for training images among n samples of a model.

    model: as `proxlab.sample` takes it, or samples [n, C, H, W] that somebody drew or restored;
    train: the images that it was trained on, [N, C, H, W] or one by one [C, H, W], read once and in
    order, floats 0 to 1 (what is outside is cut off) or uint8; held_out: images of the same kind
    that it was not trained on, 1 / level at least; steps, seed: of the samples; level: share of
    held-out images that may be suspect.

    Raises ValueError for images of different shapes, outside 0 to 1 or that are no numbers, fewer
    than two distinct training images, held-out images that are training images, and too few of
    them. [Buchanan25; Clopper34]

    >>> train, held_out = torch.rand(200, 1, 4, 4), torch.rand(100, 1, 4, 4)
    >>> proxlab.audit(train[:50] + 0.001, train, held_out).verdict
    'reproduces training images: 100 % of samples are suspect, 92.9 % to 100 %, where chance ...
    """
    if not 0 < level < 1:
        raise ValueError(f"level is a share of held-out images, between 0 and 1, got {level}")
    samples = model if isinstance(model, Tensor) else sample(model, n, steps=steps, seed=seed)
    apart = held_out if isinstance(held_out, Tensor) else torch.stack(list(held_out))
    samples, apart = _checked("samples", samples), _checked("held-out images", apart)
    if len(apart) < 1 / level:
        raise ValueError(
            f"a threshold that {level:g} of the held-out images are below takes {1 / level:.0f} of "
            f"them at least, got {len(apart)}; hold out more, or raise level"
        )
    if samples.shape[1:] != apart.shape[1:]:
        raise ValueError(
            f"samples are {list(samples.shape[1:])} and held-out images {list(apart.shape[1:])}; "
            "both have to be of the model's size"
        )
    copies = _planted(train, seed)
    every = distance_ratio(torch.cat([samples, apart, *copies.values()]), train)
    parts = [len(samples), len(apart), *(len(x) for x in copies.values())]
    own, others, *planted = (
        Nearest(*part) for part in zip(*(x.split(parts) for x in every), strict=True)
    )
    same = int((others.distance == 0).sum())
    if same:
        raise ValueError(
            f"{same} of the {len(apart)} held-out images are training images; hold out images that "
            "the model was not trained on"
        )
    threshold = float(others.ratio.quantile(level))
    suspects = int((own.ratio < threshold).sum())
    found = binomtest(suspects, len(samples), level, alternative="greater")
    ends = binomtest(suspects, len(samples), level).proportion_ci(0.95, "exact")
    worst = own.ratio.argsort()[:WORST]
    return Audit(
        *own,
        held_out_ratio=others.ratio,
        threshold=threshold,
        level=level,
        share=suspects / len(samples),
        interval=(float(ends.low), float(ends.high)),
        p_value=float(found.pvalue),
        power={
            noise: float((one.ratio < threshold).double().mean())
            for noise, one in zip(copies, planted, strict=True)
        },
        paper_share=float((own.ratio < PAPER).double().mean()),
        worst=worst,
        pairs=torch.stack([samples[worst], chosen(train, own.index[worst].tolist())]),
    )


def _checked(what: str, images: Tensor) -> Tensor:
    """The images as float64, cut off at 0 and 1 as in a file. Raises ValueError for no images."""
    if images.ndim != 4 or not len(images):
        raise ValueError(f"{what} are [n, C, H, W], got {list(images.shape)}")
    x = images.detach().cpu().double() / (255 if images.dtype == torch.uint8 else 1)
    if not x.isfinite().all():
        raise ValueError(f"{what} have values that are no numbers; leave those images out")
    if float(x.mean((1, 2, 3)).abs().max()) > 2:
        raise ValueError(
            f"{what} are in units of 0 to 1, got a mean of {float(x.mean((1, 2, 3)).max()):.3g}; "
            "divide by 255?"
        )
    return x.clamp(0, 1)


def _planted(train: Tensor | Sequence[Tensor], seed: int) -> dict[float, Tensor]:
    """Noise -> copies of training images with it."""
    generator = torch.Generator().manual_seed(seed)
    places = torch.randperm(len(train), generator=generator)[:PLANTED].tolist()
    images = _checked("training images", chosen(train, places))
    return {
        noise: (images + noise * torch.randn(images.shape, generator=generator)).clamp(0, 1)
        for noise in NOISES
    }
