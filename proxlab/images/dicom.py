"""CT slices in DICOM, in Hounsfield units: read, and written as a copy of the file they came from.

Nothing of a patient or a scanner is made up: a result has all of that from its source. Its own are
the pixels, the identity, and the mark DERIVED.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np

from proxlab.images.admission import in_words
from proxlab.images.decoder_failures import decoding
from proxlab.images.decoders.dicom_data import (
    check_stored,
    padded_pixels,
    pydicom_for,
    read_data_set,
)
from proxlab.images.files import writing
from proxlab.images.shards import ImageFile

SPOKE_OF_OLD_PIXELS = (
    "SmallestImagePixelValue",
    "LargestImagePixelValue",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "IconImageSequence",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "DigitalSignaturesSequence",
    "MACParametersSequence",
)
"""Elements that are true of the old pixels alone, a signature among them; a copy has none."""


def read_hounsfield(path: ImageFile) -> tuple[np.ndarray, np.ndarray]:
    """CT values of a DICOM slice, Hounsfield units, float64 [H, W, 1], and where they are padding.

    Padding, the second array, bool, are pixels that no ray went through, of the stored value
    PixelPaddingValue, or between that and PixelPaddingRangeLimit (DICOM PS3.3, C.7.5.1.1.2). Their
    CT values mean nothing.

    Raises ValueError if pydicom is missing, and for a file that is damaged or not CT, or that has
    no Hounsfield scale, several frames, colours, or a compression that pydicom cannot undo here.
    """
    data = _slice(path)
    with decoding(path):
        stored = data.pixel_array
        padding = padded_pixels(path, data, stored)
    units = stored * float(data.RescaleSlope) + float(data.RescaleIntercept)
    return units[:, :, None], padding[:, :, None]


def write_hounsfield(
    path: str | Path, hounsfield: np.ndarray, source: Path, overwrite: bool = False
) -> float:
    """Write CT values [H, W] as a copy of the DICOM file `source`, whole or not at all.

    Values are rounded to the steps of the source's scale and clipped to what its bits hold; the
    result is the fraction clipped. The copy is uncompressed, explicit little endian. It is an image
    of its own (SOPInstanceUID) in a series "proxlab" of the same study; copies from one series
    share one. Raises ValueError if the source cannot be read or has another size, and as
    `files.writing`.
    """
    data = _slice(source)
    size = data.Rows, data.Columns
    if hounsfield.shape != size:
        raise ValueError(
            f"cannot write {path}: the image is {list(hounsfield.shape)}, the slice {source} "
            f"{list(size)}; write it as .png or .npy"
        )
    bits = int(data.BitsStored)
    low = -(2 ** (bits - 1)) if data.PixelRepresentation else 0
    high = low + 2**bits - 1
    levels = np.rint((hounsfield - float(data.RescaleIntercept)) / float(data.RescaleSlope))
    clipped = float(((levels < low) | (levels > high)).mean())
    encoded = _copy(data, source, levels.clip(low, high))
    with writing(path, overwrite) as temporary:
        temporary.write_bytes(encoded)
    return clipped


def check_source(source: Path) -> None:
    """Raise at once what `write_hounsfield` would raise of its source after the work."""
    data = _slice(source)
    _copy(data, source, np.zeros((data.Rows, data.Columns)))


def _copy(data: Any, source: Path, levels: np.ndarray) -> bytes:
    """The bytes of the file `source` with other pixels; its data set is changed on the way."""
    depth = int(data.BitsAllocated) // 8
    kind = "i" if data.PixelRepresentation else "u"
    stored = levels.astype(f"<{kind}{depth}").tobytes()
    _rename(data)
    data.PixelData = stored + b"\0" * (len(stored) % 2)
    data["PixelData"].VR = "OB" if depth == 1 else "OW"
    data["PixelData"].is_undefined_length = False
    file = io.BytesIO()
    with decoding(source):  # what was only carried along is looked at here
        pydicom_for(source).dcmwrite(file, data, enforce_file_format=True)
    return file.getvalue()


def _slice(path: ImageFile) -> Any:
    """The data set of a CT slice; refused here for whatever can be told without its pixels."""
    data = read_data_set(path)
    with decoding(path):
        modality, kind = data.get("Modality"), str(data.get("PhotometricInterpretation", ""))
        frames, samples = int(data.get("NumberOfFrames") or 1), data.get("SamplesPerPixel", 1)
        scale = [data.get("RescaleSlope"), data.get("RescaleIntercept")]
        # Empty or absent, CT values are in Hounsfield units (DICOM PS3.3, C.8.2.1).
        unit = str(data.get("RescaleType") or "HU").strip()
        # A scale may be there and empty, or not a number.
        scaled = None not in scale and scale[0] != 0 and np.isfinite([*map(float, scale)]).all()
    if (not modality or modality == "CT") and "PixelData" not in data:
        # They are the last element of a slice: pydicom takes a file that is cut short for whole.
        raise ValueError(
            f"{path} holds no pixels, it may be damaged or cut short; copy it again, or export the "
            "slice anew"
        )
    if modality != "CT" or not scaled or unit != "HU":
        fault = (
            "no Hounsfield scale"
            if modality == "CT"
            else f"modality {in_words(modality)}, expected CT"
        )
        raise ValueError(f"{path} has {fault}; save its pixels as npy in [0, 1]")
    if frames > 1:
        raise ValueError(f"{path} has {frames} frames, expected one slice; save one of them")
    if samples != 1 or not kind.startswith("MONOCHROME"):
        raise ValueError(
            f"{path} has colours ({in_words(kind)}), expected CT values; save them as gray"
        )
    check_stored(path, data)
    return data


def _rename(data: Any) -> None:
    """Make it another image than its source, of another series: viewers mix what shares one."""
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    for keyword in SPOKE_OF_OLD_PIXELS:
        if keyword in data:
            del data[keyword]
    # Value 3 says AXIAL or LOCALIZER, which stays true; later ones are the scanner's own.
    data.ImageType = ["DERIVED", "SECONDARY", *list(data.get("ImageType") or [])[2:3]]
    data.SeriesDescription = "proxlab"
    if data.get("SeriesInstanceUID"):
        data.SeriesInstanceUID = generate_uid(entropy_srcs=[data.SeriesInstanceUID, "proxlab"])
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
