"""The picture of an audit: the samples that are most like a training image, and all ratios."""

from pathlib import Path

import numpy as np
from torch import Tensor

from proxlab.audits.auditing import Audit
from proxlab.images.files import writing

WIDTH = 1.1
"""Width of a picture, inches."""


def draw_audit(found: Audit, path: str | Path, overwrite: bool = False) -> Path:
    """Write the figure of an audit to `path`, PNG. Raises FileExistsError for a file that is there.

    Above, samples with the smallest ratios, nearest first, over the training images they are
    nearest to. Below, the ratios of samples and of held-out images, and the threshold.

    >>> import tempfile
    >>> from proxlab.audits.figure import draw_audit
    >>> x = torch.rand(300, 1, 4, 4)
    >>> draw_audit(proxlab.audit(x[:20], x[20:200], x[200:]), f"{tempfile.mkdtemp()}/a.png").name
    'a.png'
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = found.pairs.shape[1]
    figure = Figure(figsize=(max(5.0, WIDTH * columns), 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(3, columns, height_ratios=(1, 1, 2))
    for row, name in enumerate(("sample", "training")):
        for k in range(columns):
            ax = figure.add_subplot(grid[row, k])
            ax.imshow(_shown(found.pairs[row, k]), cmap="gray", vmin=0, vmax=1)
            ax.set_xticks([])
            ax.set_yticks([])
            if row == 0:
                ax.set_title(f"{float(found.ratio[found.worst[k]]):.2f}", fontsize=9)
            if k == 0:
                ax.set_ylabel(name, fontsize=9)
    ax = figure.add_subplot(grid[2, :])
    low = min(float(found.ratio.min()), float(found.held_out_ratio.min()), found.threshold)
    bins = np.linspace(max(0.0, low - 0.02), 1, 50).tolist()
    for values, name in ((found.held_out_ratio, "held-out images"), (found.ratio, "samples")):
        ax.hist(values.numpy(), bins, density=True, alpha=0.6, label=name)
    label = f"threshold, {100 * found.level:g} % of held-out images"
    ax.axvline(found.threshold, color="black", linestyle="--", label=label)
    ax.set_xlabel("distance to the nearest over that to the second nearest training image")
    ax.set_yticks([])
    ax.legend(fontsize=8)
    figure.suptitle(found.verdict.partition(";")[0], fontsize=9)
    with writing(path, overwrite) as place:
        figure.savefig(place, dpi=120, format="png")
    return Path(path)


def _shown(image: Tensor) -> np.ndarray:
    """[H, W] or [H, W, 3], 0 to 1."""
    x = image.clamp(0, 1).permute(1, 2, 0).numpy()
    return x[..., 0] if x.shape[2] == 1 else x
