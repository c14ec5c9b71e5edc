"""Frechet inception distance (FID), where its network lies on this machine; nothing is fetched."""

import tempfile
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from proxlab.foreign_weights import Weights

SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
"""sha256 of the weights, whose first digits are in the names of the file."""
NAMES = ("weights-inception-2015-12-05-6726825d.pth", "pt_inception-2015-12-05-6726825d.pth")
"""Names of the file of weights, by torch-fidelity and by pytorch-fid."""
BATCH = 100
"""Number of images in the network at once."""


def inception_distance(real: Tensor, generated: Tensor, device: str = "cpu") -> float:
    """FID of generated from real images, [N, C, H, W] in [0, 1] with C 1 or 3. [Heusel17]

    It is computed by torchmetrics, which enlarges images to 299 x 299. Gray images count as colour
    images of three equal channels; values outside [0, 1] are clamped. Published figures take 10,000
    images or more of each; fewer images give larger figures. Raises RuntimeError if torchmetrics,
    torch-fidelity or the weights are missing (`find_weights`), ValueError for other images and for
    a file that holds other weights.
    """
    for images in (real, generated):
        if images.ndim != 4 or images.shape[1] not in (1, 3) or not images.is_floating_point():
            raise ValueError(
                f"FID takes float images [N, 1 or 3, H, W] in [0, 1], got {images.dtype} of shape "
                f"{list(images.shape)}"
            )
        if len(images) < 2 or images.isnan().any():
            raise ValueError("FID takes at least 2 images of each kind, none of them NaN")
    weights = find_weights().read()
    from torchmetrics.image.fid import FrechetInceptionDistance

    with tempfile.TemporaryDirectory() as folder:
        # torch-fidelity opens a file by itself, so it gets one of our own, of these tensors alone
        own = Path(folder) / "inception.pth"
        torch.save(weights, own)
        metric = FrechetInceptionDistance(feature_extractor_weights_path=str(own)).to(device)
    for images, are_real in ((real, True), (generated, False)):
        for x in images.split(BATCH):
            # The network takes 8 bits; torchmetrics would cut off what is rounded here.
            levels = (x.clamp(0, 1) * 255).round().to(device, torch.uint8)
            metric.update(levels.expand(-1, 3, -1, -1), real=are_real)
    return float(metric.compute())


def find_weights() -> Weights:
    """The weights, whose file lies in the folder `checkpoints` of torch hub (TORCH_HOME moves it).

    Raises RuntimeError if torchmetrics, torch-fidelity or the file is missing.
    """
    lacking = [name for name in ("torchmetrics", "torch_fidelity") if find_spec(name) is None]
    if lacking:
        raise RuntimeError(
            f"FID needs {' and '.join(lacking).replace('_', '-')}, not installed here: "
            'pip install "proxlab[benches]"'
        )
    known = [Weights("the network of FID", name, SHA256) for name in NAMES]
    found = next((weights for weights in known if weights.path.is_file()), None)
    if found is None:
        raise RuntimeError(
            f"FID needs the weights of its network, which proxlab does not fetch: put {NAMES[0]} "
            f"(github.com/toshas/torch-fidelity, releases, v0.2.0) into {known[0].path.parent}"
        )
    return found
