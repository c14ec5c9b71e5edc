"""Figures for people: restorations side by side, and the objective falling."""

from pathlib import Path

from proxlab.images.metrics import psnr
from proxlab.operators.tomography.operator import Tomography


def draw_demo(path: Path, pictures: list) -> None:
    """A row a problem: measurement, TV, LPN, truth with PSNR, and the LPN's objective.

    `pictures` holds (Scene, image without a prior, Restoration by TV, Restoration by LPN), gray,
    one image.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 3.15 * len(pictures)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(pictures), 5, squeeze=False)
    for row, (scene, plain, tv, lpn) in zip(axes, pictures, strict=True):
        truth, is_ct = scene.truth, isinstance(scene.op, Tomography)
        shown = (
            (f"{'back-projected' if is_ct else 'measured'}: {scene.name}", plain),
            ("total variation", tv.image),
            (f"learned proximal network, {scene.prior}", lpn.image),
            ("truth", truth),
        )
        for ax, (title, x) in zip(row, shown, strict=False):
            ax.imshow(x[0, 0].clamp(0, 1).numpy(), cmap="gray", vmin=0, vmax=1)
            if x is not truth:
                title = f"{title}\n{float(psnr(x, truth)):.2f} dB"
            ax.set_title(title, fontsize=10)
            ax.set_axis_off()
        _objective(row[4], lpn)
    figure.savefig(path, dpi=110, format="png")


def _objective(ax, result) -> None:
    values = result.trace.objective[result.descent :, 0]
    values = values[values.isfinite()]
    excess = (values - values[-1])[:-1]  # the last one, zero, has no logarithm
    steps = range(result.descent + 1, result.descent + 1 + len(excess))
    ax.semilogy(steps, excess.numpy(), color="tab:blue")
    verdict = "certified" if result.certified[0] else result.doubts[0]
    ax.set_title(f"objective above its last value\n{verdict}", fontsize=10)
    ax.set_xlabel("step")
    ax.grid(alpha=0.3)
