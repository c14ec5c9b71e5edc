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
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from skimage.data import camera

import proxlab

SIDE, NOISE, MISSING = 256, 0.01, 0.7
LEFT, TOP, PART = 78, 62, 60
"""Column and row at which the enlarged part begins, and its side."""
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
    """The figure: four images, below each its enlarged part; the objective and the evidence."""
    x, y, tv, learned = measured()
    panels = {
        "measurement": y,
        "total variation": tv.image,
        LEARNED: learned.image,
        "truth": x,
    }
    figure = plt.figure(figsize=(8, 6.7), layout="constrained", dpi=165)
    above, below = figure.subfigures(2, 1, height_ratios=(4.5, 2.2))
    rows = above.subplots(2, 4)
    for (whole, near), (name, image) in zip(rows.T, panels.items(), strict=True):
        told = "" if name == "truth" else f"\n{float(proxlab.metrics.psnr(image, x)):.2f} dB"
        whole.set_title(f"{name}{told}", fontsize=12)
        shown = image[0, 0].clamp(0, 1)
        for axes, part in ((whole, shown), (near, shown[TOP : TOP + PART, LEFT : LEFT + PART])):
            axes.imshow(part, cmap="gray", vmin=0, vmax=1)
            axes.set_axis_off()
        whole.add_patch(Rectangle((LEFT, TOP), PART, PART, fill=False, color="tab:orange"))
    left, words = below.subplots(1, 2, width_ratios=(3.4, 4.6))
    draw_objective(left, learned)
    words.axis("off")
    said = "certified by the run's own numbers" if learned.certified[0] else learned.doubts[0]
    words.text(0, 1, said, va="top", fontsize=12, weight="bold")
    words.text(0, 0.86, str(learned.evidence[0]), va="top", family="monospace", fontsize=9)
    return figure


def draw_objective(axes: Axes, run: proxlab.Restoration) -> None:
    """The objective above its last value, from the end of the descent of noise levels on."""
    objective = run.trace.objective
    assert objective is not None
    steps = range(run.descent, len(objective) - 1)
    axes.semilogy(steps, objective[run.descent : -1, 0] - objective[-1, 0])
    axes.set_title("objective above its last value", fontsize=12)
    axes.set_xlabel("step")
    axes.spines[["top", "right"]].set_visible(False)


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
