"""The picture of the README: one measurement, two priors, and what the run itself proves.

    python examples/readme_picture.py --out docs/images/inpainted.png

Of a photograph of scikit-image seven pixels in ten are missing and the others have noise. It is
restored by total variation and by a learned exact prox. Below them stands what a certificate rests
on: the objective of the certified run, and the numbers that were compared.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from skimage.data import camera

import proxlab

SIDE, NOISE, MISSING = 256, 0.01, 0.7
ZOOM = (slice(62, 122), slice(78, 138))
"""Rows and columns of the enlarged part."""
LEARNED = "lpn-gray-wide"


def measured() -> tuple[torch.Tensor, torch.Tensor, proxlab.Restoration, proxlab.Restoration]:
    """Truth, measurement, and the restorations by total variation and by the learned prox."""
    x = torch.from_numpy(camera()[40 : 40 + SIDE, 130 : 130 + SIDE]).float()[None, None] / 255
    seed = torch.Generator().manual_seed(0)
    mask = proxlab.operators.random_mask((SIDE, SIDE), MISSING, seed)
    op = proxlab.operators.inpaint(mask, noise=NOISE)
    y = op(x, generator=torch.Generator().manual_seed(0))
    return x, y, proxlab.restore(y, op, "tv"), proxlab.restore(y, op, LEARNED)


def picture() -> Figure:
    """The figure: four images with their enlarged part, the objective and the evidence."""
    x, y, tv, learned = measured()
    panels = {
        "measurement": y,
        "total variation": tv.image,
        f"{LEARNED}, exact prox": learned.image,
        "truth": x,
    }
    figure = plt.figure(figsize=(12, 6.2), layout="constrained", dpi=110)
    grid = figure.add_gridspec(2, 4, height_ratios=(3.4, 1.8))
    for column, (name, image) in enumerate(panels.items()):
        axes = figure.add_subplot(grid[0, column])
        told = "" if name == "truth" else f"\n{float(proxlab.metrics.psnr(image, x)):.2f} dB"
        axes.set_title(f"{name}{told}", fontsize=13)
        shown = image[0, 0].clamp(0, 1)
        axes.imshow(shown, cmap="gray", vmin=0, vmax=1)
        inset = axes.inset_axes((0.5, 0.0, 0.5, 0.5))
        inset.imshow(shown[ZOOM], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        for part in (axes, inset):
            part.set_xticks([])
            part.set_yticks([])
        for side in inset.spines.values():
            side.set_color("#f28e2b")
            side.set_linewidth(2)
    below = figure.add_subplot(grid[1, :2])
    first = learned.descent
    fall = learned.trace.objective
    assert fall is not None
    below.plot(
        range(first, len(fall)), fall[first:, 0] - fall[first:, 0].min() + 1, color="#4e79a7"
    )
    below.set_yscale("log")
    below.set_xlabel("step")
    below.set_ylabel("objective - least + 1")
    below.spines[["top", "right"]].set_visible(False)
    words = figure.add_subplot(grid[1, 2:])
    words.axis("off")
    said = "certified by the run's own numbers" if learned.certified[0] else learned.doubts[0]
    words.text(0, 1, said, va="top", fontsize=13, weight="bold")
    words.text(0, 0.86, str(learned.evidence[0]), va="top", family="monospace", fontsize=9)
    return figure


def main() -> None:
    """Draw the picture and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images/inpainted.png"))
    out = parser.parse_args().out
    out.parent.mkdir(parents=True, exist_ok=True)
    picture().savefig(out)
    print(out)


if __name__ == "__main__":
    main()
