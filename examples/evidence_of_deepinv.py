"""deepinv's own algorithms with denoisers of anyone: was what they were asked one exact prox?

A `proxlab.Recorder` goes around the denoiser, deepinv's algorithm runs as ever, and afterwards the
recorder says whether one function R exists of which all its answers were the prox. Then the run was
the exact algorithm on that R, and what is proved of it holds. DnCNN and DRUNet are deepinv's
classes: with their published weights where torch's cache holds the files, else with random ones
scaled down until the network is near the identity. Nothing is fetched. A median that goes
twice as far as it should is the prox of nothing, and is told apart. An exact prox need not be a
good one: see the decibels.

    python examples/evidence_of_deepinv.py --algorithm ADMM
"""

import argparse
from collections.abc import Callable, Sequence

import deepinv
import torch
from deepinv.models import Denoiser, DnCNN, DRUNet, MedianFilter
from deepinv.optim.data_fidelity import L2
from deepinv.physics import LinearPhysics
from skimage.data import camera
from torch import Tensor, nn

import proxlab
from proxlab.images.metrics import psnr
from proxlab.operators import deblur, gaussian_kernel
from proxlab.priors.deepinv_denoisers import PRETRAINED, pretrained
from proxlab.priors.recorder import Recorded

ALGORITHMS = {name: getattr(deepinv.optim, name) for name in ("PGD", "HQS", "ADMM", "DRS")}
NOISE, BLUR = 0.02, 1.6
RANDOM: dict[str, Callable[[], Denoiser]] = {
    "DnCNN": lambda: DnCNN(1, 1, depth=7, nf=16, pretrained=None),
    "DRUNet": lambda: DRUNet(1, 1, nc=(8, 8, 8, 8), nb=1, pretrained=None),
}


def deepinv_network(name: str) -> tuple[Denoiser, str]:
    """A denoiser of deepinv's and what its weights are: published if known and at hand."""
    if name == "MedianFilter":
        return Lerp(MedianFilter(3), 2.0), "twice its step"
    weights = PRETRAINED[name].weights(name, 1)
    if weights.sha256 and weights.path.exists():
        return pretrained(name).denoiser, "published weights"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = RANDOM[name]()
    return Lerp(network.requires_grad_(False), 0.1), "random weights"


class Lerp(Denoiser):
    """x + share (N(x) - x): near the identity, where an untrained N has to be kept, or beyond N."""

    def __init__(self, network: nn.Module, share: float):
        super().__init__()
        self.network, self.share = network, share

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        return torch.lerp(x, self.network(x, sigma), self.share)


def run(
    denoiser: Denoiser, name: str, y: Tensor, op: LinearPhysics, level: float, steps: int
) -> tuple[Tensor, Recorded]:
    """The image that deepinv's algorithm makes of y, and what the denoiser's answers prove."""
    recorder = proxlab.Recorder(denoiser)
    extra = {"beta": 1.0} if name in ("ADMM", "DRS") else {}
    model = ALGORITHMS[name](
        L2(NOISE),
        deepinv.optim.PnP(recorder),
        stepsize=level**2,
        g_param=level,
        max_iter=steps,
        **extra,
    )
    with torch.no_grad():
        return model(y, op), recorder.evidence()[0]


def verdict(found: Recorded) -> str:
    """The recorder's numbers in a sentence."""
    looked = f"{len(found.steps)} of {found.evaluations} evaluations"
    if not found.exact:
        return f"no function has these proxes: margin {found.margin:.2f} over {looked}"
    kind = "even a convex one" if found.convex_margin >= 0 else "not a convex one"
    return f"one function has all these proxes, {kind}: margin {found.margin:.2f} over {looked}"


def main(words: Sequence[str] | None = None) -> dict[str, Recorded]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--algorithm", choices=ALGORITHMS, default="DRS")
    parser.add_argument("--priors", default="unet-gray,lpn-gray,crate-gray", help="of proxlab")
    parser.add_argument("--networks", default="DnCNN,DRUNet,MedianFilter", help="of deepinv")
    parser.add_argument("--size", type=int, default=96, help="side of the crop of the photograph")
    parser.add_argument("--level", type=float, default=0.9 * NOISE, help="noise level of the prior")
    parser.add_argument("--steps", type=int, default=40)
    args = parser.parse_args(words)
    x = torch.from_numpy(camera()).float()[None, None, 80:, 180:] / 255
    x = x[..., : args.size, : args.size]
    op = deblur(gaussian_kernel(BLUR), NOISE)
    y = op(x, generator=torch.Generator().manual_seed(0))
    denoisers = [(f"{n} of deepinv", *deepinv_network(n)) for n in args.networks.split(",") if n]
    for name in filter(None, args.priors.split(",")):
        prior = proxlab.load(name)
        assert isinstance(prior, nn.Module)  # as all of them are
        denoisers.append((name, Lerp(prior, 1.0), "trained"))
    print(f"{args.algorithm} of deepinv, {args.steps} steps, blurred {float(psnr(y, x)):.2f} dB")
    found = {}
    for name, denoiser, weights in denoisers:
        image, found[name] = run(denoiser, args.algorithm, y, op, args.level, args.steps)
        print(f"{name} ({weights}), {float(psnr(image, x)):.2f} dB: {verdict(found[name])}")
    return found


if __name__ == "__main__":
    main()
