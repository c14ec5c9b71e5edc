"""LPIPS, a distance between images that judges as people do.

    judge = Lpips(weights)                      # of torchvision's AlexNet, by name
    judge(x, truth)                             # [B]

The layers that weigh AlexNet's features are torchmetrics', which come with that package. AlexNet's
own weights are handed in: where they come from, and whether they are to be trusted, is not asked
here, and nothing is looked for or fetched.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

SMALLEST_SIDE = 32
"""Side of the smallest image of which AlexNet's layers leave anything."""


class Lpips:
    """LPIPS by the features of AlexNet [Zhang18b], on the CPU."""

    def __init__(self, weights: Mapping[str, Tensor]):
        """weights: those of torchvision's AlexNet; raises ValueError for those of another network.

        The network is built with random weights, which are replaced at once: built with its own, it
        would open a file of torch's cache by itself, as a pickle.
        """
        # no public name of torchmetrics takes a network, and builds it once
        from torchmetrics.functional.image.lpips import _NoTrainLpips

        self._network = _NoTrainLpips(net="alex", pnet_rand=True)
        features = self._network.net
        own = {name: name.split(".", 1)[1] for name in features.state_dict()}
        try:
            # slice1.0.weight is AlexNet's features.0.weight
            state = {name: weights[f"features.{layer}"] for name, layer in own.items()}
            features.load_state_dict(state)
        except (KeyError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(
                f"these are not the weights of torchvision's AlexNet: {reason}; fetch them again"
            ) from error

    def __call__(self, x: Tensor, truth: Tensor) -> Tensor:
        """LPIPS [B] of images [B, C, H, W], C 1 or 3; lower is better.

        Values are clipped to [0, 1], outside of which it is not defined; gray levels are taken as
        equal colours. Raises ValueError for images with a side below `SMALLEST_SIDE`, of other
        numbers of channels, and of another shape than the truth's.
        """
        if x.shape != truth.shape or x.ndim != 4 or x.shape[1] not in (1, 3) or not has_lpips(x):
            raise ValueError(
                f"LPIPS compares images [B, 1 or 3, H, W] of at least {SMALLEST_SIDE} x "
                f"{SMALLEST_SIDE} pixels with a truth of their shape, got {list(x.shape)} and "
                f"{list(truth.shape)}"
            )
        a, b = (z.cpu().float().clamp(0, 1).expand(-1, 3, -1, -1) for z in (x, truth))
        with torch.no_grad():
            return self._network(a, b, normalize=True).flatten()


def has_lpips(x: Tensor) -> bool:
    """Whether images [B, C, H, W] are large enough for LPIPS."""
    return min(x.shape[-2:]) >= SMALLEST_SIDE
