"""Files of restored slices: a TIFF of floats, a page a slice, or a folder of DICOM files."""

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from torch import Tensor

from proxlab.commands.problems.scan_input import ScanInput
from proxlab.commands.results.places import check_places
from proxlab.commands.stacks.dicom_series import Series, check_series
from proxlab.images.decoders.tiff_tags import TiffTags
from proxlab.images.decoders.tiff_writing import TiffPages, tiff_file
from proxlab.images.files import check_folder, check_writable, writing
from proxlab.images.image_writing import stored_as

TIFF = (".tif", ".tiff")


class SliceFiles(Protocol):
    """Writer of slices, in their order."""

    notes: tuple[str, ...]
    """Sentences on what was assumed."""

    def add(self, image: Tensor) -> float:
        """Write a slice [1, 1, H, W]; the fraction of its pixels that were clipped."""
        ...


class _Tiff:
    notes = ()

    def __init__(self, path: Path, tiff: TiffPages, tags: TiffTags):
        self._path, self._tiff, self._tags = path, tiff, tags

    def add(self, image: Tensor) -> float:
        array, clipped = stored_as(self._path, image, 32)
        self._tiff.add(array, self._tags)
        self._tags = self._tags._replace(description=None)
        return clipped


class _Dicom:
    def __init__(self, folder: Path, series: Series, overwrite: bool):
        self._folder, self._series, self._overwrite = folder, series, overwrite
        self._number = 0
        self.notes = (
            f"lengths of the DICOM series are taken for mm: pixels of {series.pixel_spacing:g}, "
            f"slices {series.slice_spacing:g} apart, as far as detectors are",
        )

    def add(self, image: Tensor) -> float:
        self._number += 1
        path = self._folder / dicom_name(self._number)
        return self._series.write(path, image[0, 0].numpy(), self._number, self._overwrite)


def dicom_name(number: int) -> str:
    """Name of a slice in the folder of its series, numbers from 1 on."""
    return f"slice-{number:04d}.dcm"


@contextlib.contextmanager
def slice_files(args: argparse.Namespace, out: Path, scan: ScanInput) -> Iterator[SliceFiles]:
    """A writer of all slices of a scan: .tif, or a folder, which becomes a DICOM series.

    Raises ValueError or FileExistsError for a place that cannot be written to, before the work.
    """
    if out.suffix.lower() in TIFF:
        check_places({"the image": out, "--trace": args.trace}, args.overwrite)
        height, width = scan.geometry.height, scan.geometry.width
        # ImageJ's words for a stack, which most viewers know.
        words = f"ImageJ=1.53\nimages={scan.count}\nslices={scan.count}\nloop=false\n"
        if scan.unit is not None and scan.unit.isascii():
            words += f"unit={scan.unit}\n"
        step = 1 / scan.geometry.pixel_spacing
        tags = TiffTags(words.encode(), b"proxlab", (step, step), 1)
        nbytes = scan.count * height * width * np.dtype(np.float32).itemsize
        with (
            writing(out, args.overwrite) as temporary,
            tiff_file(temporary, nbytes, "<", False) as tiff,
        ):
            yield _Tiff(out, tiff, tags)
        return
    if out.suffix and not out.is_dir():
        raise ValueError(
            f"cannot write {out}: {args.input} holds {scan.count} slices, which become a .tif, or "
            "a folder of DICOM files; name a folder without a suffix for these"
        )
    check_series(out)
    check_folder(out)
    for number in range(1, scan.count + 1) if out.exists() else ():
        check_writable(out / dicom_name(number), args.overwrite)
    out.mkdir(parents=True, exist_ok=True)
    scan_attenuation = scan.attenuation if scan.of_attenuation else None
    series = Series(scan.geometry.pixel_spacing, scan.geometry.detector_spacing, scan_attenuation)
    yield _Dicom(out, series, args.overwrite)
