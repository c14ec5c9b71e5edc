"""Slices that no DICOM file is the source of, as a DICOM series of their own.

Nothing of a patient or a scanner is made up: what DICOM wants to be there of them is there, empty.
Pixels are stored in 16 bits, and a rescale slope and intercept say what they mean: Hounsfield units
for images whose [0, 1] is that of HOUNSFIELD, else attenuation per unit of length, of which DICOM
is told that its unit is not one it knows (RescaleType US).
"""

import datetime
from pathlib import Path
from typing import Any

import numpy as np

from proxlab.images.decoders.dicom_data import pydicom_for
from proxlab.images.files import writing
from proxlab.images.reading import HOUNSFIELD

LOW, HIGH = -0.25, 1.75
"""Image values that 16 bits hold, if 1 is an attenuation: noise below 0, and metal."""
SOFT = (40.0, 400.0)
"""Centre and width of the window that Hounsfield units are shown in first, of soft tissue."""
EMPTY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "AccessionNumber"),
    *("ReferringPhysicianName", "StudyDate", "StudyTime", "Manufacturer", "KVP"),
    *("AcquisitionNumber", "PositionReferenceIndicator", "SliceThickness", "PatientPosition"),
)
"""Elements that a CT slice has to have, about which nothing is known."""


def check_series(folder: Path) -> None:
    """ValueError if no DICOM can be written, for want of pydicom."""
    pydicom_for(folder)


class Series:
    """A series of slices, all in one study and one frame of reference.

    Spacings are in mm. attenuation: per unit of length, of 1 in the image; None where [0, 1] stands
    for HOUNSFIELD.
    """

    def __init__(self, pixel_spacing: float, slice_spacing: float, attenuation: float | None):
        from pydicom.uid import generate_uid

        self.pixel_spacing, self.slice_spacing = pixel_spacing, slice_spacing
        if attenuation is None:
            low = HOUNSFIELD[0]
            self._slope, self._intercept, self._kind, self._window = 1.0, low, "HU", SOFT
        else:
            low, high = LOW * attenuation, HIGH * attenuation
            self._slope, self._intercept = (high - low) / 65535, low
            self._kind, self._window = "US", (attenuation / 2, attenuation)
        self._unit = (0.0, attenuation) if attenuation is not None else HOUNSFIELD
        self._study, self._series, self._frame = (generate_uid() for _ in range(3))

    def write(self, path: Path, image: np.ndarray, number: int, overwrite: bool) -> float:
        """Write slice `number`, [H, W] in image units, whole or not at all; the fraction clipped.

        Raises as `files.writing`.
        """
        low, high = self._unit
        values = image.astype(np.float64) * (high - low) + low
        levels = np.rint((values - self._intercept) / self._slope)
        clipped = float(((levels < 0) | (levels > 65535)).mean())
        data = self._slice(levels.clip(0, 65535).astype("<u2"), number)
        with writing(path, overwrite) as temporary:
            pydicom_for(path).dcmwrite(temporary, data, enforce_file_format=True)
        return clipped

    def _slice(self, levels: np.ndarray, number: int) -> Any:
        from pydicom.dataset import Dataset, FileMetaDataset
        from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

        data = Dataset()
        for keyword in EMPTY:
            setattr(data, keyword, None)
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = CTImageStorage
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        data.StudyInstanceUID, data.SeriesInstanceUID = self._study, self._series
        data.FrameOfReferenceUID = self._frame
        data.Modality, data.SeriesDescription, data.SeriesNumber = "CT", "proxlab", 1
        data.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
        data.InstanceNumber = number
        data.ContentDate = datetime.date.today().strftime("%Y%m%d")
        data.Rows, data.Columns = levels.shape
        data.PixelSpacing = [_decimal(self.pixel_spacing)] * 2
        data.SpacingBetweenSlices = _decimal(self.slice_spacing)
        data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        data.ImagePositionPatient = [0, 0, _decimal((number - 1) * self.slice_spacing)]
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated = data.BitsStored = 16
        data.HighBit, data.PixelRepresentation = 15, 0
        data.RescaleSlope, data.RescaleIntercept = _decimal(self._slope), _decimal(self._intercept)
        data.RescaleType = self._kind
        data.WindowCenter, data.WindowWidth = map(_decimal, self._window)
        data.PixelData = levels.tobytes()
        data["PixelData"].VR = "OW"
        return data


def _decimal(number: float) -> str:
    """A number in the 16 characters that DICOM has for one."""
    return next(text for digits in range(15, 3, -1) if len(text := f"{number:.{digits}g}") <= 16)
