"""Frechet inception distance (FID), where its network lies on this machine; nothing is fetched."""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

PREFIX = "6726825d"
"""First digits of the sha256 of the weights, as in the names of the file."""
NAMES = (f"weights-inception-2015-12-05-{PREFIX}.pth", f"pt_inception-2015-12-05-{PREFIX}.pth")
"""Names of the file of weights, by torch-fidelity and by pytorch-fid."""
BATCH = 100
"""Number of images in the network at once."""


def inception_distance(real: Tensor, generated: Tensor, device: str = "cpu") -> float:
    """FID of generated from real images, [N, C, H, W] in [0, 1] with C 1 or 3. [Heusel17]

    It is computed by torchmetrics, which enlarges images to 299 x 299. Gray images count as colour
    images of three equal channels; values outside [0, 1] are clamped. Published figures take 10,000
    images or more of each; fewer images give larger figures. Raises RuntimeError if torchmetrics,
    torch-fidelity or the weights are missing (`find_weights`), ValueError for other images.
    """
    for images in (real, generated):
        if images.ndim != 4 or images.shape[1] not in (1, 3) or not images.is_floating_point():
            raise ValueError(
                f"FID takes float images [N, 1 or 3, H, W] in [0, 1], got {images.dtype} of shape "
                f"{list(images.shape)}"
            )
        if len(images) < 2 or images.isnan().any():
            raise ValueError("FID takes at least 2 images of each kind, none of them NaN")
    weights = find_weights()
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature_extractor_weights_path=str(weights)).to(device)
    for images, are_real in ((real, True), (generated, False)):
        for x in images.split(BATCH):
            # The network takes 8 bits; torchmetrics would cut off what is rounded here.
            levels = (x.clamp(0, 1) * 255).round().to(device, torch.uint8)
            metric.update(levels.expand(-1, 3, -1, -1), real=are_real)
    return float(metric.compute())


def find_weights() -> Path:
    """File of the weights, in the folder `checkpoints` of torch hub (TORCH_HOME moves it).

    torch-fidelity reads the file as a pickle, which can run code, so any other content is refused.
    Raises RuntimeError if torchmetrics, torch-fidelity or the file is missing, or is another file.
    """
    lacking = [name for name in ("torchmetrics", "torch_fidelity") if find_spec(name) is None]
    if lacking:
        raise RuntimeError(
            f"FID needs {' and '.join(lacking).replace('_', '-')}, not installed here: "
            'pip install "proxlab[benches]"'
        )
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = next((folder / name for name in NAMES if (folder / name).is_file()), None)
    if path is None:
        raise RuntimeError(
            f"FID needs the weights of its network, which proxlab does not fetch: put {NAMES[0]} "
            f"(github.com/toshas/torch-fidelity, releases, v0.2.0) into {folder}"
        )
    if not hashlib.sha256(path.read_bytes()).hexdigest().startswith(PREFIX):
        raise RuntimeError(
            f"{path} is damaged or another file, its sha256 does not begin with {PREFIX}; "
            "fetch it again"
        )
    return path
