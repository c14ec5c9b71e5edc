"""Part of a picture, enlarged beneath it so that nothing of the picture is hidden.

The part is the one in which restorations differ most, so that nobody chooses it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

HEIGHT, WIDTH = 32, 64
"""Size of the part that is enlarged, pixels."""
FRAME = "#e8a200"
"""Colour of the frame around it, which reads on black and on white."""


class Part(NamedTuple):
    """Rectangle of an image, pixels."""

    top: int
    left: int
    height: int
    width: int

    def of(self, image: np.ndarray) -> np.ndarray:
        """The pixels of the image [H, W] that lie in it."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]


def most_different(images: Sequence[np.ndarray], height: int = HEIGHT, width: int = WIDTH) -> Part:
    """Part of that size, or as large as images [H, W] allow, in which they differ most."""
    stack = np.stack([image.astype(float) for image in images])
    height, width = min(height, stack.shape[1]), min(width, stack.shape[2])
    sums = np.pad(stack.var(0).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    down = sums[height:] - sums[:-height]
    boxes = down[:, width:] - down[:, :-width]
    # rounding of sums makes equal boxes differ by less than this
    top, left = np.argwhere(boxes >= boxes.max() - 1e-9 * sums[-1, -1])[0]
    return Part(int(top), int(left), height, width)


def draw_enlarged(whole, beneath, image: np.ndarray, part: Part, window: tuple[float, float]):
    """Draw a gray image [H, W] with a frame around the part, and the part in axes of its own.

    whole, beneath: matplotlib's Axes; window: the values that are black and white.
    """
    from matplotlib.patches import Rectangle

    low, high = window
    for ax, pixels in ((whole, image), (beneath, part.of(image))):
        ax.imshow(pixels, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        ax.set(xticks=[], yticks=[])
    whole.set_axis_off()
    corner = part.left - 0.5, part.top - 0.5
    whole.add_patch(
        Rectangle(corner, part.width, part.height, fill=False, edgecolor=FRAME, linewidth=0.9)
    )
    for spine in beneath.spines.values():
        spine.set_color(FRAME)
