"""CT slices as 16-bit image files of Hounsfield units + 1024, 0 to 4095, which are [0, 1] here."""

from pathlib import Path

from torch import Tensor

from proxlab.images.image_writing import write_image
from proxlab.images.reading import HOUNSFIELD, LoadedImage, read_image

HIGHEST_LEVEL = HOUNSFIELD[1] - HOUNSFIELD[0]
"""Largest value of such a file."""
SCALED = (".png", ".tif", ".tiff")
"""Suffixes of files on this scale; DICOM has one of its own, and npy is in [0, 1]."""


def read_slice(path: str | Path) -> LoadedImage:
    """A slice [1, 1, H, W], HOUNSFIELD mapped to [0, 1]: DICOM, or a gray 16-bit image of it.

    Raises ValueError for another file, and for values above 4095, which are no Hounsfield units.
    """
    loaded = read_image(path)
    if loaded.kind == ".dcm":
        return loaded
    if loaded.bits != 16 or loaded.pixels.shape[1] != 1:
        raise ValueError(
            f"{path} has {loaded.bits} bits and {loaded.pixels.shape[1]} channel(s); a CT slice is "
            "DICOM, or a gray 16-bit PNG of Hounsfield units + 1024"
        )
    levels = loaded.pixels * 65535
    if levels.max() > HIGHEST_LEVEL:
        raise ValueError(
            f"{path} holds values up to {levels.max():.0f}, Hounsfield units + 1024 end at "
            f"{HIGHEST_LEVEL:.0f}; is it scaled?"
        )
    return loaded._replace(pixels=levels / HIGHEST_LEVEL, scale=(0.0, HIGHEST_LEVEL))


def write_slice(path: str | Path, pixels: Tensor, overwrite: bool = False) -> float:
    """Write a slice [1, 1, H, W] in [0, 1] as Hounsfield units + 1024, 16-bit PNG or TIFF.

    The result is the fraction clipped to 0 .. 4095. Raises ValueError for another suffix, and as
    `write_image`.
    """
    if Path(path).suffix.lower() not in SCALED:
        raise ValueError(f"cannot write {path} in Hounsfield units; use {' or '.join(SCALED)}")
    half = 0.5 / HIGHEST_LEVEL
    clipped = float(((pixels < -half) | (pixels > 1 + half)).double().mean())
    write_image(path, pixels.clamp(0, 1) * (HIGHEST_LEVEL / 65535), 16, overwrite)
    return clipped
