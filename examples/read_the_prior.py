"""Reading a learned prior: what becomes of R when a digit is noised, blurred or mixed.

    PROXLAB_DATA=... python examples/read_the_prior.py --out prior.png

A learned proximal network is trained on MNIST's training digits, then R_sigma is taken at 100 test
digits along three paths: x + t e with one noise e per digit, x blurred by a Gaussian of width t,
and (1 - t) x + t x' with another digit x'. No clipping. The inventors [Fang24, Fig. 3] see R grow
along all three; printed is the share of digits for which ours does. The mixture potential has its
least R, zero, on constant images by construction, so a wide enough blur must lower it.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from proxlab.convex import MixturePotential
from proxlab.data import Patches
from proxlab.datasets import find_data
from proxlab.files import check_writable, writing
from proxlab.losses import balanced_squared_error
from proxlab.lpn import LPN
from proxlab.mixture_config import MixtureConfig
from proxlab.operators import gaussian_kernel
from proxlab.train import TrainConfig, train

PATHS = {
    "noise": ((0.0, 0.05, 0.1, 0.2, 0.3), "standard deviation of the noise"),
    "blur": ((0.0, 0.5, 1.0, 2.0, 4.0), "width of the blur, pixels"),
    "mixing": ((0.0, 0.1, 0.2, 0.3, 0.4, 0.5), "share of the other digit"),
}


def digits(train_split: bool, count: int | None = None) -> Tensor:
    """MNIST as uint8 [N, 28, 28], the first `count`. Raises as `find_data` if it is missing."""
    find_data(f"mnist/MNIST/raw/{'train' if train_split else 't10k'}-images-idx3-ubyte")
    from torchvision.datasets import MNIST

    return MNIST(find_data("mnist"), train=train_split, download=False).data[:count]


def learn(images: Tensor, config: TrainConfig, architecture: MixtureConfig, loss) -> LPN:
    """A learned proximal network of whole images, uint8 [N, S, S]."""
    prior = LPN(MixturePotential(architecture), config.sigma_range, name="digits")
    groups = prior.potential.parameter_groups(config.learning_rate)
    patches = Patches(list(images), images.shape[-1])
    with tempfile.TemporaryDirectory() as folder:
        train(prior, groups, patches, loss, config, Path(folder), progress=True)
    return prior.requires_grad_(False)


def blurred(x: Tensor, width: float) -> Tensor:
    """x [B, 1, H, W] blurred by a Gaussian, black beyond its border as a digit is."""
    if width == 0:
        return x
    kernel = gaussian_kernel(width).to(x)
    kernel = kernel.view(1, 1, *kernel.shape[-2:])
    return F.conv2d(F.pad(x, [kernel.shape[-1] // 2] * 4), kernel)


def along(name: str, x: Tensor, amount: float) -> Tensor:
    """The digits x [B, 1, H, W] moved by `amount` along the path `name` of PATHS."""
    if name == "blur":
        return blurred(x, amount)
    if name == "mixing":
        return (1 - amount) * x + amount * x.roll(1, 0)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return x + amount * noise.to(x)


def read(prior: LPN, x: Tensor, sigma: float, tol: float) -> dict[str, Tensor]:
    """R_sigma / sigma^2 along each path, [amounts, B] each. Raises as `LPN.value`."""
    return {
        name: torch.stack([prior.value(along(name, x, t), sigma, tol) for t in amounts]) / sigma**2
        for name, (amounts, _) in PATHS.items()
    }


def rising(values: Tensor) -> float:
    """The share of digits whose R grows at every step of a path, [amounts, B]."""
    return float((values.diff(dim=0) > 0).all(0).double().mean())


def draw(path: Path, values: dict[str, Tensor], sigma: float) -> None:
    """One panel a path: each digit a faint line, the median and the quartiles over them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    for ax, (name, v) in zip(figure.subplots(1, 3), values.items(), strict=True):
        amounts, meaning = PATHS[name]
        ax.plot(amounts, v.numpy(), color="0.6", alpha=0.25, linewidth=0.7)
        low, median, high = v.quantile(torch.tensor([0.25, 0.5, 0.75]).to(v), dim=1).numpy()
        ax.fill_between(amounts, low, high, color="tab:blue", alpha=0.25, linewidth=0)
        ax.plot(amounts, median, color="tab:blue", marker="o", markersize=4)
        ax.set_title(f"{name}: R rises for {rising(v):.0%} of {v.shape[1]} digits", fontsize=10)
        ax.set_xlabel(meaning)
        ax.set_ylabel(f"R / sigma^2, sigma = {sigma:g}")
        ax.grid(alpha=0.3)
    figure.savefig(path, dpi=130, format="png")


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Train, read, draw; print and return the share of digits that rise along each path."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("read_the_prior.png"))
    parser.add_argument("--overwrite", action="store_true")
    parser.add_argument("--steps", type=int, default=1200, help="of training")
    parser.add_argument("--digits", type=int, default=100, help="test digits")
    parser.add_argument("--sigma", type=float, default=0.3, help="noise level of the prior read")
    parser.add_argument("--components", type=int, default=64)
    parser.add_argument("--tol", type=float, default=1e-2, help="of the inversion; R errs by tol^2")
    parser.add_argument(
        "--matching",
        action="store_true",
        help="proximal matching, gamma a quarter of the noise, in place of the squared loss",
    )
    args = parser.parse_args(argv)
    check_writable(args.out, args.overwrite)
    config = TrainConfig(
        steps=args.steps, patch=28, sigma_range=(0.05, 0.5), checkpoint_every=args.steps
    )
    loss = proximal_matching if args.matching else balanced_squared_error
    started = time.monotonic()
    prior = learn(digits(True)[::6], config, MixtureConfig(args.components, 32, 3), loss)
    trained = time.monotonic()
    x = digits(False, args.digits)[:, None].float() / 255
    values = read(prior, x, args.sigma, args.tol)
    with writing(args.out, args.overwrite) as temporary:
        draw(temporary, values, args.sigma)
    shares = {name: rising(v) for name, v in values.items()}
    for name, v in values.items():
        medians = " ".join(f"{m:.1f}" for m in v.median(1).values)
        print(f"{name:7} R rises for {shares[name]:.0%} of {len(x)} digits; medians {medians}")
    print(f"trained {trained - started:.0f} s, read {time.monotonic() - trained:.0f} s: {args.out}")
    return shares


def proximal_matching(estimate: Tensor, clean: Tensor, sigma: Tensor) -> Tensor:
    """Mean of 1 - exp(-|f - x|^2 / (n gamma^2)) over a batch, gamma = sigma / 4. [Fang24]"""
    error = (estimate - clean).square().mean((1, 2, 3))
    return (1 - (-error / (sigma / 4).square()).exp()).mean()


if __name__ == "__main__":
    main()
