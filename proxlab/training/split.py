"""A folder of images, divided: those that are trained on and those that are held out, and said."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from proxlab.images.folders import HELD_OUT_EVERY, hold_out, hold_out_part
from proxlab.images.shards import ImageFile
from proxlab.images.stored import StoredImages, find_photographs
from proxlab.training.config import Run
from proxlab.training.draws import spare_threads

LOG = logging.getLogger(__name__)
NAMED = 5
"""Held-out images that are named; of more only the number is said."""
MOST_FIGURED, MIDDLE = 50, 512
"""Held-out images that figures are of, and the side of their middles that count, pixels."""


class Split(NamedTuple):
    """Images to train on, and those that are held out."""

    images: Sequence[Tensor]
    held_out: Sequence[Tensor]
    in_words: str
    """The former, for the card: "380 images of bsds400"."""
    held_out_in_words: str
    """The latter: "a.jpg (1 of 3 images)"."""
    ahead: int
    """Steps to draw in advance."""


def open_split(
    load: Callable[[Path], Sequence[Tensor]],
    data: Path,
    side: int,
    run: Run,
    files: Callable[[Path], Sequence[ImageFile]] = find_photographs,
) -> Split:
    """The images that `load` finds at `data`, divided by image; a single one is cut in two.

    side: of the patches that are cut; files: finds the files that `load` reads, in its order.
    Images that stay on disk are decoded ahead where a GPU trains; elsewhere training has the cores
    already. The logger is told of them. Raises as `load` and `hold_out_part`.
    """
    place = Path(data)
    found = load(place)
    names = _names(found.files if isinstance(found, StoredImages) else files(place), place)
    # Of a part of a data set, "train" or "shard-0000.tar", the name alone says little.
    part = place.name == "train" or not place.is_dir()
    of = "/".join(place.parts[-2:]) if part else place.name
    if len(found) == 1:
        kept, end = hold_out_part(found[0], side)
        apart = f"a part of {names[0]}, {end.shape[-2]} x {end.shape[-1]} pixels at its end"
        split = Split([kept], [end], f"the rest of the 1 image of {of}", apart, 0)
    else:
        images, held_out = hold_out(found)
        apart = f"{len(held_out)} of {len(found)} images"
        if len(held_out) <= NAMED:
            apart = f"{', '.join(names[::HELD_OUT_EVERY])} ({apart})"
        split = Split(images, held_out, f"{len(images)} images of {of}", apart, 0)
    if not isinstance(found, StoredImages):
        return split
    LOG.info(
        "%d images are %.3g GiB decoded: they are read as they are drawn, and the last %.3g GiB "
        "kept",
        len(found),
        found.nbytes / 2**30,
        found.cache.most / 2**30,
    )
    on_gpu = torch.device(run.device).type == "cuda"
    return split._replace(ahead=spare_threads() if on_gpu else 0)


def _names(files: Sequence[ImageFile], place: Path) -> list[str]:
    """Paths of images below their folder; of images in tar shards their names."""
    below = place.is_dir()
    return [str(f.relative_to(place)) if below and isinstance(f, Path) else f.name for f in files]


def middles(images: Sequence[Tensor]) -> list[Tensor]:
    """The middles of some images, evenly spaced among them, that figures may be of in a minute."""
    found = []
    for x in images[:: -(-len(images) // MOST_FIGURED)]:
        top, left = (max(0, (n - MIDDLE) // 2) for n in x.shape[-2:])
        found.append(x[..., top : top + MIDDLE, left : left + MIDDLE])
    return found
