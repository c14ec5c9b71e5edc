"""Stacks for tests, as other programs write them, and what may go wrong between two of them."""

from pathlib import Path

import numpy as np
import tifffile
from skimage.data import camera

UNIT = {"unit": "um", "spacing": 0.5, "finterval": 2.0, "Info": "Gain=3", "min": 0.0, "max": 200.0}
GRAY = {"photometric": "minisblack"}
ZYX = {**GRAY, "metadata": {"axes": "ZYX"}}
"""What tifffile is told so that three pages do not become the planes of a coloured one."""
KINDS = ("imagej", "imagej-float", "imagej-big-endian", "one-header", "ome", "shaped", "plain")
"""Kinds of stacks that `write_stack` writes."""


def pages(count: int, dtype="uint8", size=(24, 20)) -> np.ndarray:
    """Parts of a photograph, each with a brightness of its own, [count, H, W]."""
    h, w = size
    whole = np.stack([camera()[96 : 96 + h, 180 + 9 * k : 180 + 9 * k + w] for k in range(count)])
    bright = np.linspace(0.4, 1, count)[:, None, None]
    levels = whole / 255 * bright
    if np.dtype(dtype).kind == "f":
        return levels.astype(dtype)
    return np.rint(levels * np.iinfo(dtype).max).astype(dtype)


def write_stack(path: Path, kind: str) -> np.ndarray:
    """A stack of T 2, Z 3, C 2 pages in one of the formats; the pages as they lie in the file."""
    stack = pages(12, "float32" if kind == "imagej-float" else "uint16")
    whole = stack.reshape(2, 3, 2, 24, 20)
    pixel = {"resolution": (4.0, 5.0)}
    match kind:
        case "imagej" | "imagej-float" | "imagej-big-endian":
            order = ">" if kind.endswith("endian") else "<"
            told = {"axes": "TZCYX", **UNIT, "Labels": [f"page {k}" for k in range(12)]}
            tifffile.imwrite(path, whole, imagej=True, metadata=told, byteorder=order, **pixel)
        case "one-header":
            description = (
                "ImageJ=1.54f\nimages=12\nchannels=2\nslices=3\nframes=2\nhyperstack=true\n"
                "unit=um\nspacing=0.5\n"
            )
            with tifffile.TiffWriter(path) as tiff:
                tiff.write(stack, description=description, metadata=None, truncate=True, **pixel)
        case "ome":
            told = {"axes": "TZCYX", "PhysicalSizeX": 0.25, "Channel": {"Name": ["red", "far"]}}
            tifffile.imwrite(path, whole, ome=True, metadata=told, **pixel)
        case "shaped":
            tifffile.imwrite(path, whole, metadata={"axes": "TZCYX"}, software="scope", **pixel)
        case "plain":
            with tifffile.TiffWriter(path) as tiff:
                for k, page in enumerate(stack):
                    extra = [(285, "s", 0, f"page {k}", False)]
                    tiff.write(page, metadata=None, extratags=extra, resolutionunit=3, **pixel)
    return stack


def faults(before: Path, after: Path, near: float) -> list[str]:
    """Whatever is not kept from one stack to another whose pages differ by at most `near`."""
    found = []
    with tifffile.TiffFile(before) as one, tifffile.TiffFile(after) as two:
        for name in ("axes", "shape", "dtype", "kind"):
            values = [str(getattr(tiff.series[0], name)) for tiff in (one, two)]
            if values[0] != values[1]:
                found.append(f"{name}: {values[0]} became {values[1]}")
        if one.imagej_metadata != two.imagej_metadata:
            found.append("ImageJ metadata")
        first, last = (tiff.pages.first.tags for tiff in (one, two))
        for code in (270, 282, 283, 285, 296, 305, 34675):
            a, b = (tags.valueof(code) for tags in (first, last))
            if a is not None and (a.rstrip("\0") if isinstance(a, str) else a) != b:
                found.append(f"tag {code}: {a} became {b}")
        x, y = (tiff.series[0].asarray().astype(float) for tiff in (one, two))
    if x.shape != y.shape:
        return found
    x, y = (a.reshape(-1, *a.shape[-2:]) for a in (x, y))
    white = 1.0 if x.max() <= 1 else 65535.0 if x.max() > 255 else 255.0
    distances = np.abs(x[:, None] - y[None]).mean((2, 3)) / white
    if (distances.argmin(0) != np.arange(len(y))).any():
        found.append("order of the pages")
    elif distances.diagonal().max() > near:
        found.append(f"pages that differ by {distances.diagonal().max():.3f}")
    return found
