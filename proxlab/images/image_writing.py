"""Image files out: one tensor as a PNG, JPEG, TIFF, npy or DICOM file, whole or not at all.

What cannot be written is refused in one sentence (ValueError) that names the file, the fault and
the remedy.
"""

from pathlib import Path

import numpy as np
from torch import Tensor

from proxlab.images.decoders.kinds import kind_of
from proxlab.images.decoders.metadata import NOTHING, read_metadata
from proxlab.images.dicom import write_hounsfield
from proxlab.images.files import writing
from proxlab.images.formats import encode
from proxlab.images.reading import HOUNSFIELD, Scale
from proxlab.images.shards import ImageFile

WRITABLE = {
    ".png": (8, 16),
    ".jpg": (8,),
    ".jpeg": (8,),
    ".tif": (8, 16, 32),
    ".tiff": (8, 16, 32),
    ".npy": (8, 16, 32),
}
"""Depths that `write_image` takes, by suffix; an npy file is float32 whatever the depth.
DICOM is not among them: only what came from a DICOM file can become one."""


def write_image(
    path: str | Path,
    pixels: Tensor,
    bits: int = 8,
    overwrite: bool = False,
    source: ImageFile | None = None,
    scale: Scale | None = None,
) -> float:
    """Write pixels [1, C, H, W] or [C, H, W], C = 1 or 3, whole or not at all.

    PNG 8 or 16 bit, JPEG 8, TIFF 8, 16 or 32 (float), npy float32 [H, W] or [H, W, 3]. Integer
    files are rounded and clipped to what their bits hold: the one place where values are. The
    result is the fraction clipped, values that rounding alone would not bring inside; float files
    are not clipped and give 0.
    source: the file that the image came from, whose colour profile, pixel size and other metadata
    are kept as far as the type can (`metadata`); of DICOM, a copy of it with these pixels is
    written, [0, 1] to HOUNSFIELD, clipped to what its bits hold (`dicom.write_hounsfield`).
    scale: values of the file that 0 and 1 become, by default all that its bits hold, of floats 0
    and 1.

    Raises ValueError for another suffix, depth, shape or type, for NaN or infinity, and for DICOM
    without a source; and as `files.writing`, FileExistsError among it.

    >>> import tempfile
    >>> path = f"{tempfile.mkdtemp()}/a.png"
    >>> pixels = torch.tensor([[[0.0, 0.5, 1.2, 1.0]]])
    >>> proxlab.images.write_image(path, pixels)   # the share that was clipped
    0.25
    >>> proxlab.images.write_image(path, pixels / 2, bits=16, overwrite=True)
    0.0
    """
    kind = Path(path).suffix.lower()
    if kind == ".dcm":
        if not isinstance(source, Path) or kind_of(source) != ".dcm":
            raise ValueError(
                f"cannot write {path}: DICOM is written only as a copy of the DICOM file that the "
                f"image came from, got {source or 'none'}; use .png or .npy"
            )
        low, high = HOUNSFIELD
        array = _writable(path, pixels)
        return write_hounsfield(path, array * (high - low) + low, source, overwrite)
    if kind not in WRITABLE:
        raise ValueError(
            f"cannot write {path}: unknown type {kind!r}; supported are {', '.join(WRITABLE)}"
        )
    if bits not in WRITABLE[kind]:
        raise ValueError(
            f"cannot write {path} with bits={bits}; {kind} takes {WRITABLE[kind]}, "
            "and .tif and .npy take more"
        )
    array, clipped = stored_as(path, pixels, 32 if kind == ".npy" else bits, scale)
    kept = NOTHING if source is None else read_metadata(source, array.shape[:2])
    with writing(path, overwrite) as temporary:
        encode(temporary, kind, array, kept)
    return clipped


def stored_as(
    path: str | Path, pixels: Tensor, bits: int, scale: Scale | None = None
) -> tuple[np.ndarray, float]:
    """Values of a file, [H, W] or [H, W, 3], uint8, uint16 or float32; the fraction clipped.

    They are low + (high - low) times the pixels [1, C, H, W]. Raises as `write_image`; `path` is
    what an error names.
    """
    array = _writable(path, pixels)
    low, high = scale or (0.0, 1.0 if bits == 32 else 2.0**bits - 1)
    levels = array * (high - low) + low
    if bits == 32:
        return levels.astype(np.float32), 0.0
    most = 2**bits - 1
    levels = np.rint(levels)
    clipped = float(((levels < 0) | (levels > most)).mean())
    return levels.clip(0, most).astype(np.uint8 if bits == 8 else np.uint16), clipped


def _writable(path: str | Path, pixels: Tensor) -> np.ndarray:
    """One image as float64 [H, W] or [H, W, 3]; `path` is what an error names."""
    shape = tuple(pixels.shape)
    if pixels.ndim == 4 and shape[0] == 1:
        pixels = pixels[0]
    if pixels.ndim != 3 or pixels.shape[0] not in (1, 3) or pixels.numel() == 0:
        raise ValueError(
            f"cannot write {path}: pixels have shape {shape}, expected one image [1, C, H, W] with "
            "C = 1 or 3; index the batch"
        )
    if not pixels.is_floating_point():
        raise ValueError(
            f"cannot write {path}: pixels are {pixels.dtype}, expected floats in [0, 1]; "
            "convert them first"
        )
    array = pixels.detach().cpu().double().permute(1, 2, 0).numpy()
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise ValueError(f"cannot write {path}: {bad} pixels are NaN or infinite; look upstream")
    return array[:, :, 0] if array.shape[2] == 1 else array
