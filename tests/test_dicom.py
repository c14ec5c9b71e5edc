"""CT slices in DICOM: read in Hounsfield units, anything else refused."""

import sys

import numpy as np
import pytest
import torch

from proxlab.images import read_image


def save_dicom(path, values, modality="CT", slope=1, intercept=-1024, shape=None):
    pydicom = pytest.importorskip("pydicom")
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    data.Modality, data.PhotometricInterpretation = modality, "MONOCHROME2"
    data.Rows, data.Columns = values.shape[-2:]
    data.SamplesPerPixel, data.PixelRepresentation = 1, 1
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit = 15
    if values.ndim == 3:
        data.NumberOfFrames = len(values)
    if slope is not None:
        data.RescaleSlope, data.RescaleIntercept = slope, intercept
    data.PixelData = values.astype("<i2").tobytes()
    data.save_as(path, enforce_file_format=True)


def test_dicom_is_read_in_hounsfield_units(tmp_path):
    values = np.array([[0, 4095, 1024], [-2000, 0, 2048]])
    save_dicom(tmp_path / "a.dcm", values)
    back = read_image(tmp_path / "a.dcm")
    assert (back.bits, back.scale, back.clipped) == (16, (-1024, 3071), 1 / 6)
    expected = torch.tensor([[0, 1, 1024 / 4095], [0, 0, 2048 / 4095]])
    torch.testing.assert_close(back.pixels[0, 0], expected)
    save_dicom(tmp_path / "b.dcm", np.full((2, 2), 10), slope=2, intercept=0)
    unit = read_image(tmp_path / "b.dcm").pixels
    torch.testing.assert_close(unit, torch.full((1, 1, 2, 2), (20 + 1024) / 4095))


def test_dicom_refusals(tmp_path, monkeypatch):
    values = np.zeros((2, 2))
    save_dicom(tmp_path / "a.dcm", values, modality="MR")
    save_dicom(tmp_path / "b.dcm", values, slope=None)
    save_dicom(tmp_path / "c.dcm", np.zeros((3, 2, 2)))
    (tmp_path / "d.dcm").write_bytes((tmp_path / "a.dcm").read_bytes()[:-4])
    for name, match in [
        ("a", "modality MR, expected CT"),
        ("b", "no Hounsfield scale"),
        ("c", "expected one slice"),
        ("d", "cannot be decoded"),
    ]:
        with pytest.raises(ValueError, match=match):
            read_image(tmp_path / f"{name}.dcm")
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(ValueError, match=r"pip install proxlab\[dicom\]"):
        read_image(tmp_path / "a.dcm")
