"""The law that samples start from below t = 1, a Gaussian with the images' mean and main axes.

At t = 1 nothing is to be seen, and N(0, I) will do. A first step from there tells a network's
sample no more than the mean of the images. So few-step samplers start later, where the images still
count for little beside the noise, but their mean and their widest directions do not: the start is
N(sqrt(a) m, a S + (1 - a) I), with S of the leading principal axes of the training images.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from solvers import VP, karras_grid

AXES = 16
"""Principal axes that are kept. Of digits they hold 59 % of the variance; with 48 or all of them
samples in 5 steps are no better."""
MOST_IMAGES = 20_000
"""Images that the law is found from at most, the first of them, and of large images fewer."""
MOST_PIXELS, MOST_VALUES = 3 * 32**2, 2**25
"""Numbers in an image up to which its covariance is kept whole, and in all images beyond that."""
HIGH = 3.0
"""Noise at the start over the largest deviation that is in no axis."""
LOW, FALL, POWER = 2.9, 0.5, 3.0
"""The least level of N steps is LOW / N^FALL, and POWER that of `karras_grid`. They were chosen on
held-out digits with `score-mnist`, where 3 steps do best with a least level of 1.6, 10 with 0.9."""


class StartLaw(nn.Module):
    """Mean, leading principal axes and their variances of images in [-1, 1].

    >>> law = StartLaw((1, 4, 4))
    >>> law.fit(torch.randint(0, 256, (100, 1, 4, 4), dtype=torch.uint8))
    >>> law.begin(torch.randn(2, 1, 4, 4), 0.5, solvers.VP()).shape
    torch.Size([2, 1, 4, 4])
    """

    mean: Tensor
    axes: Tensor
    variances: Tensor

    def __init__(self, shape: tuple[int, int, int]):
        """The law of images of that shape, (C, H, W), which `fit` or a file tells."""
        super().__init__()
        pixels = shape[0] * shape[1] * shape[2]
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("axes", torch.zeros(min(AXES, pixels), pixels))
        self.register_buffer("variances", torch.zeros(min(AXES, pixels) + 1))
        self.register_load_state_dict_post_hook(_older_files)

    @property
    def known(self) -> bool:
        """Whether `fit` or a file has told it."""
        return bool(self.variances[0] > 0)

    @property
    def high(self) -> float:
        """Noise over signal at which few-step samplers start, `HIGH` deviations."""
        return HIGH * float(self.variances[-1]) ** 0.5

    def fit(self, images: Tensor) -> None:
        """Find mean and axes of images, uint8 [N, C, H, W]."""
        x = (images[: images_for(images[0].shape)].double() / 127.5 - 1).flatten(1)
        mean = x.mean(0)
        x = x - mean
        kept = len(self.axes)
        if x.shape[1] > MOST_PIXELS:
            variances, axes = _by_images(x, kept + 1)
        else:
            variances, axes = torch.linalg.eigh(x.mT @ x / len(x))
        self.mean.copy_(mean.view_as(self.mean))
        leading = axes.flip(1)[:, :kept].mT
        self.axes.zero_()[: len(leading)] = leading.to(self.axes)
        found = variances.flip(0)[: kept + 1].clamp(min=0)
        self.variances.zero_()[: len(found)] = found.to(self.variances)

    def begin(self, noise: Tensor, t: float, schedule: VP) -> Tensor:
        """Nearly X_t, [B, C, H, W], of standard normal noise of that shape.

        From t = 1 it is the noise itself. Raises ValueError for an earlier t if the law is unknown.
        """
        if t == 1:
            return noise
        if not self.known:
            raise ValueError(
                f"the mean of this model's images is not known, to start from t = {t:.3g}; take a "
                "grid that ends at 1, or train the model with this version of proxlab"
            )
        a, rest = schedule.signal(t), schedule.noise(t)
        wider = (a * self.variances[:-1] + rest).sqrt() - rest**0.5
        along = noise.flatten(1) @ self.axes.mT * wider
        return a**0.5 * self.mean + rest**0.5 * noise + (along @ self.axes).view_as(noise)


def images_for(shape: Sequence[int]) -> int:
    """Images of that shape, (C, H, W), that the law is found from at most.

    >>> images_for((3, 32, 32)), images_for((3, 64, 64))
    (20000, 2000)
    """
    pixels = math.prod(shape)
    return MOST_IMAGES if pixels <= MOST_PIXELS else min(2000, max(200, MOST_VALUES // pixels))


def _by_images(x: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The largest variances [K], rising, and their axes [P, K], of images x [N, P], centred.

    They are those of x^T x / N, found from x x^T / N, which is smaller where images are few.
    """
    variances, parts = torch.linalg.eigh(x @ x.mT / len(x))
    variances, parts = variances[-most:], parts[:, -most:]
    told = variances > 1e-12 * variances[-1]  # an image less than there are, as the mean is gone
    axes = x.mT @ parts[:, told]
    return variances[told], axes / axes.norm(dim=0)


def _older_files(module: nn.Module, keys) -> None:
    """Files from before there was a start law load, and theirs stays unknown."""
    own = {f"start.{name}" for name, _ in module.named_buffers()}
    if own <= set(keys.missing_keys):
        keys.missing_keys[:] = [key for key in keys.missing_keys if key not in own]


def few_step_grid(steps: int, high: float | None, schedule: VP) -> list[float]:
    """Times of restricted steps that start at a noise of `high` over the signal, None for t = 1.

    Raises ValueError unless steps is a whole number >= 1.

    >>> [round(t, 2) for t in few_step_grid(5, 5.0, solvers.VP())]
    [0.0, 0.31, 0.39, 0.46, 0.52, 0.57]
    """
    most = (schedule.noise(1.0) / schedule.signal(1.0)) ** 0.5
    first = most if high is None else min(high, most)
    if steps == 1:
        times = [0.0, schedule.time_of_noise(first)]
    else:
        low = min(LOW / max(1.0, float(steps)) ** FALL, 0.9 * first)
        times = karras_grid(steps, low, first, POWER, schedule)
    return times if high is not None else [*times[:-1], 1.0]
