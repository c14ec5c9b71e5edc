"""A look inside a CRATE denoiser: what each layer of its encoder does to the tokens.

    PROXLAB_DATA=... python examples/crate_denoiser.py --out crate.png

The layers were derived to lower the coding rate R^c, against R, and to make codes sparser. Both are
printed over depth for the trained network and for its own untrained start, as means over the
256 x 256 middles of Set12 at sigma 25 / 255, with each layer at which R^c rises or zeros get fewer.

The figure shows the two curves, and one photograph: how strongly its tokens lie in the subspace of
each head, in the middle of the encoder, and the first three principal components of its codes as a
colour, after the first, the middle and the last layer. Segments would be seen there if they
emerged.
"""

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path

import torch
from skimage.data import camera
from torch import Tensor

from proxlab.checkpoints import load
from proxlab.images.data_sets import find_data
from proxlab.images.files import check_writable, writing
from proxlab.images.folders import load_gray
from proxlab.priors.crate.denoiser import CrateDenoiser
from proxlab.priors.crate.layer_rates import LayerRates, layer_rates

SIGMA = 25 / 255
"""Noise level, image units."""


def middles(folder: Path, side: int, seed: int = 0) -> Tensor:
    """Middles of the photographs of a folder, with noise, [N, 1, side, side]."""
    generator, parts = torch.Generator().manual_seed(seed), []
    for image in load_gray(folder):
        top, left = ((n - side) // 2 for n in image.shape)
        clean = image[top : top + side, left : left + side] / 255
        parts.append(clean + SIGMA * torch.randn(clean.shape, generator=generator))
    return torch.stack(parts)[:, None]


def table(name: str, found: list[LayerRates]) -> list[tuple[float, float, float]]:
    """Print R, R^c and non-zeros by layer, and where they run against the derivation.

    Returns them as rows, (R, R^c, share of non-zeros).
    """
    rows = [tuple(float(x.mean()) for x in layer[:3]) for layer in found]
    print(f"{name}:\nlayer       R     R^c  R - R^c  non-zeros")
    for i, (rate, compressed, nonzero) in enumerate(rows, 1):
        print(f"{i:5d}{rate:8.0f}{compressed:8.0f}{rate - compressed:9.0f}{100 * nonzero:9.1f} %")
    for what, column in (("R^c", 1), ("non-zeros", 2)):
        rises = [i + 2 for i, (a, b) in enumerate(_pairs(rows)) if b[column] > a[column]]
        fall = 100 * (1 - rows[-1][column] / rows[0][column])
        where = f"; they rise at layer {', '.join(map(str, rises))}" if rises else ""
        print(f"{what}: {fall:+.0f} % lower at the end than after the first layer{where}")
    return rows


def head_energies(model: CrateDenoiser, v: Tensor, layer: int) -> Tensor:
    """Energies |U_k^T z|^2 of one image's normalised tokens, before a layer attends, [K, h, w]."""
    seen = []
    handle = model.encoder[layer].attention.register_forward_hook(
        lambda module, given, _: seen.append((given[0], module.U))
    )
    list(model.encode(v, SIGMA))
    handle.remove()
    tokens, subspaces = seen[0]
    return torch.einsum("hwd,kpd->khwp", tokens[0], subspaces).square().sum(3)


def components(codes: Tensor) -> Tensor:
    """First three principal components of codes, [h, w, d] -> [h, w, 3], each scaled to [0, 1]."""
    x = codes.flatten(0, 1)
    x = x - x.mean(0)
    _, _, axes = torch.linalg.svd(x, full_matrices=False)
    found = x @ axes[:3].T
    low, high = found.quantile(0.02, 0), found.quantile(0.98, 0)
    return ((found - low) / (high - low)).clamp(0, 1).view(*codes.shape[:2], 3)


def draw(path: Path, curves: dict[str, list[tuple]], v: Tensor, model: CrateDenoiser) -> None:
    """Write the figure, PNG; curves: rows of `table` by network; v: a noisy image [1, 1, H, W]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    middle = len(model.encoder) // 2
    energies = head_energies(model, v, middle)
    layers = [layer.codes[0] for layer in model.encode(v, SIGMA)]
    figure = Figure(figsize=(13, 9.5), layout="constrained")
    FigureCanvasAgg(figure)
    top, heads, below = figure.subfigures(3, 1, height_ratios=(1.1, 1, 1))
    for ax, column, title in zip(
        top.subplots(1, 2), (1, 2), ("R^c, nats", "share of non-zeros"), strict=True
    ):
        for name, rows in curves.items():
            ax.plot(range(1, len(rows) + 1), [row[column] for row in rows], "o-", label=name)
        ax.set(xlabel="layer of the encoder", title=title, ylim=(0, None))
        ax.grid(alpha=0.3)
        ax.legend()
    heads.suptitle(f"energy of the tokens in each subspace, layer {middle + 1}")
    for k, ax in enumerate(heads.subplots(1, len(energies), squeeze=False)[0]):
        ax.imshow(energies[k].numpy(), cmap="magma")
        ax.set(title=f"head {k + 1}")
        ax.set_axis_off()
    below.suptitle("image, and principal components of its codes as red, green, blue")
    axes = below.subplots(1, 4)
    axes[0].imshow(v[0, 0].clamp(0, 1).numpy(), cmap="gray", vmin=0, vmax=1)
    axes[0].set(title="noisy")
    for ax, i in zip(axes[1:], (0, middle, len(layers) - 1), strict=True):
        ax.imshow(components(layers[i]).numpy())
        ax.set(title=f"after layer {i + 1}")
    for ax in axes:
        ax.set_axis_off()
    figure.savefig(path, dpi=100, format="png")


def main(argv: Sequence[str] | None = None) -> dict[str, list[tuple]]:
    """Print the tables and draw; return the rows of both networks by name."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="crate-gray")
    parser.add_argument("--images", type=Path, help="a folder of photographs; default set12")
    parser.add_argument("--side", type=int, default=256, help="of the middles measured, pixels")
    parser.add_argument("--out", type=Path, default=Path("crate.png"))
    args = parser.parse_args(argv)
    check_writable(args.out)
    trained = load(args.model)
    untrained = CrateDenoiser(trained.config, trained.sigma_range).requires_grad_(False).eval()
    v = middles(args.images or find_data("set12"), args.side)
    curves = {
        name: table(name, layer_rates(model, v, SIGMA))
        for name, model in (("trained", trained), ("untrained", untrained))
    }
    photograph = torch.from_numpy(camera()).float()[None, None] / 255
    noise = torch.randn(photograph.shape, generator=torch.Generator().manual_seed(0))
    with writing(args.out) as path:
        draw(path, curves, photograph + SIGMA * noise, trained)
    return curves


def _pairs(rows: list) -> list[tuple]:
    return list(itertools.pairwise(rows))


if __name__ == "__main__":
    main()
