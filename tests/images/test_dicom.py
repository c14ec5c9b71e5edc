"""CT slices in DICOM: read in Hounsfield units, written as a copy of their source, else refused."""

import sys

import numpy as np
import pytest
import torch

from proxlab.images import read_image, write_image
from proxlab.images.dicom import check_source
from tests.images.pictures import names


def save_dicom(path, values, modality="CT", slope=1, intercept=-1024, **fields):
    """A slice as a scanner would write it, `values` as stored; `fields` come last."""
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
    data.SOPClassUID, data.SOPInstanceUID = pydicom.uid.CTImageStorage, "1.2.3"
    data.SeriesInstanceUID, data.StudyInstanceUID, data.SeriesDescription = "1.2", "1", "Chest"
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", "VENDOR"]
    data.PatientName, data.PatientID, data.PixelSpacing = "Doe^Jane", "7", [0.7, 0.7]
    for name, value in fields.items():
        setattr(data, name, value)
    kind = "i" if data.PixelRepresentation else "u"
    stored = values.astype(f"<{kind}{data.BitsAllocated // 8}").tobytes()
    data.PixelData = stored + b"\0" * (len(stored) % 2)
    data.save_as(path, enforce_file_format=True)


def dataset(path):
    return pytest.importorskip("pydicom").dcmread(path)


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
    save_dicom(tmp_path / "e.dcm", np.zeros((2, 2, 3)), slope=1, **COLOUR)
    save_dicom(tmp_path / "f.dcm", values, PhotometricInterpretation="PALETTE COLOR")
    save_dicom(tmp_path / "g.dcm", values, slope=0)
    save_dicom(tmp_path / "h.dcm", values, RescaleType="ED")
    save_dicom(tmp_path / "j.dcm", values, RescaleSlope=None)
    (tmp_path / "d.dcm").write_bytes((tmp_path / "h.dcm").read_bytes()[:-4].replace(b"ED", b"HU"))
    compressed(tmp_path / "k.dcm", "1.2.840.10008.1.2.4.100")  # a film, which pydicom never decodes
    for name, match in [
        ("a", "modality MR, expected CT; save its pixels as npy"),
        ("b", "no Hounsfield scale"),
        ("c", "3 frames, expected one slice"),
        ("d", "cannot be decoded"),
        ("e", r"has colours \(RGB\), expected CT values"),
        ("f", r"has colours \(PALETTE COLOR\)"),
        ("g", "no Hounsfield scale"),
        ("h", "no Hounsfield scale"),
        ("j", "no Hounsfield scale"),
        ("k", r"is compressed \(MPEG2 .*\), which pydicom cannot undo here; install"),
    ]:
        for refused in (read_image, check_source):
            if name == "d" and refused is check_source:
                continue  # the pixels are about to be replaced
            with pytest.raises(ValueError, match=match) as caught:
                refused(tmp_path / f"{name}.dcm")
            assert "\n" not in str(caught.value) and f"{name}.dcm" in str(caught.value)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(ValueError, match=r"pip install proxlab\[dicom\]"):
        read_image(tmp_path / "a.dcm")


COLOUR = dict(SamplesPerPixel=3, PlanarConfiguration=0, PhotometricInterpretation="RGB")
COLOUR |= dict(Rows=2, Columns=2, NumberOfFrames=None)


def compressed(path, syntax):
    from pydicom.encaps import encapsulate

    save_dicom(path, np.zeros((2, 2)))
    data = dataset(path)
    data.file_meta.TransferSyntaxUID = syntax
    data.PixelData = encapsulate([b"film"])
    data.save_as(path)


def test_a_compression_without_its_decoder_is_named(tmp_path):
    pytest.importorskip("pydicom")
    from pydicom.pixels import get_decoder
    from pydicom.uid import HTJ2KLossless, JPEG2000Lossless, JPEGLSLossless

    known = (JPEGLSLossless, HTJ2KLossless, JPEG2000Lossless)
    lacking = [syntax for syntax in known if not get_decoder(syntax).is_available]
    if not lacking:
        pytest.skip("every decoder is installed")
    compressed(tmp_path / "a.dcm", lacking[0])
    with pytest.raises(ValueError, match=r"is compressed \(.*\), which pydicom cannot"):
        read_image(tmp_path / "a.dcm")


KINDS = {
    "signed": dict(),
    "12 bits": dict(PixelRepresentation=0, BitsStored=12, HighBit=11),
    "a byte": dict(PixelRepresentation=0, BitsAllocated=8, BitsStored=8, HighBit=7),
}


@pytest.mark.parametrize("slope, intercept", [(1, -1024), (1.0002441, -1024), (0.5, -1000.25)])
@pytest.mark.parametrize("kind", KINDS)
def test_an_image_that_is_not_changed_keeps_its_stored_values(
    tmp_path, rng, kind, slope, intercept
):
    values = rng.integers(0, 256 if kind == "a byte" else 4096, (5, 3))
    source, copy = tmp_path / "a.dcm", tmp_path / "b.dcm"
    save_dicom(source, values, slope=slope, intercept=intercept, **KINDS[kind])
    clipped = (values * slope + intercept).clip(-1024, 3071)
    expected = np.rint((clipped - intercept) / slope)
    assert write_image(copy, read_image(source).pixels, source=source) == 0
    assert np.array_equal(dataset(copy).pixel_array, expected)
    half = write_image(copy, read_image(source).pixels * 0.5, overwrite=True, source=source)
    assert half >= 0 and not np.array_equal(dataset(copy).pixel_array, expected)


def test_a_copy_is_an_image_of_its_own(tmp_path):
    source, copy, other = (tmp_path / f"{name}.dcm" for name in "abc")
    old = dict(SmallestImagePixelValue=0, PixelPaddingValue=-2000)
    save_dicom(source, np.arange(6).reshape(2, 3), **old)
    x = read_image(source).pixels
    before = source.read_bytes()
    for path in (copy, other):
        write_image(path, x * 2, source=source)
    assert source.read_bytes() == before
    with pytest.raises(FileExistsError, match="exists already"):
        write_image(copy, x, source=source)
    a, b, c = dataset(source), dataset(copy), dataset(other)
    differ = {e.keyword for e in a if e.tag not in b or e != b[e.tag]}
    assert differ == {
        "ImageType",
        "SOPInstanceUID",
        "SeriesInstanceUID",
        "SeriesDescription",
        "PixelData",
        *old,
    }
    assert {e.keyword for e in b} <= {e.keyword for e in a}  # nothing is made up
    assert list(b.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]
    assert b.SeriesDescription == "proxlab"
    assert b.SOPInstanceUID == b.file_meta.MediaStorageSOPInstanceUID != c.SOPInstanceUID
    assert b.SeriesInstanceUID == c.SeriesInstanceUID  # slices of a series stay together


@pytest.mark.parametrize("syntax", ["RLELossless", "ImplicitVRLittleEndian", "ExplicitVRBigEndian"])
def test_a_copy_is_uncompressed_and_explicit_little_endian(tmp_path, rng, syntax):
    pydicom = pytest.importorskip("pydicom")
    source, copy = tmp_path / "a.dcm", tmp_path / "b.dcm"
    values = rng.integers(0, 4096, (4, 6))
    save_dicom(source, values)
    data = dataset(source)
    if syntax == "RLELossless":
        data.compress(pydicom.uid.RLELossless)
    else:
        data.file_meta.TransferSyntaxUID = getattr(pydicom.uid, syntax)
        big, implicit = "Big" in syntax, "Implicit" in syntax
        data.PixelData = values.astype(">i2" if big else "<i2").tobytes()
        data.walk(lambda *_: None)  # decoded before the byte order is another
        options = dict(implicit_vr=implicit, little_endian=not big, force_encoding=True)
        pydicom.dcmwrite(source, data, **options)
    if syntax == "RLELossless":
        data.save_as(source)
    assert dataset(source).file_meta.TransferSyntaxUID == getattr(pydicom.uid, syntax)
    write_image(copy, read_image(source).pixels, source=source)
    back = dataset(copy)
    assert back.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
    assert np.array_equal(back.pixel_array, values) and back.PatientName == "Doe^Jane"


def test_values_are_clipped_to_the_bits_and_that_is_said(tmp_path):
    source, copy = tmp_path / "a.dcm", tmp_path / "b.dcm"
    save_dicom(source, np.zeros((2, 2)), **KINDS["12 bits"])
    x = torch.tensor([[-0.1, 0.5], [1.0, 1.2]])[None, None]
    assert write_image(copy, x, source=source) == 0.5
    assert dataset(copy).pixel_array.tolist() == [[0, 2048], [4095, 4095]]
    save_dicom(source, np.zeros((2, 2)))  # 16 bits and a sign hold all of it
    assert write_image(copy, x, overwrite=True, source=source) == 0
    assert dataset(copy).pixel_array.tolist() == [[-410, 2048], [4095, 4914]]


@pytest.mark.parametrize(
    "name, shape, match",
    [
        ("a.dcm", (1, 1, 2, 3), r"the image is \[2, 3\], the slice .* \[2, 2\]; write it as"),
        ("a.dcm", (1, 3, 2, 2), r"the image is \[2, 2, 3\]"),
        ("a.png", (1, 1, 2, 2), r"only as a copy of the DICOM file .*a\.png; use \.png"),
        ("no.dcm", (1, 1, 2, 2), r"does not exist; check the name"),
    ],
)
def test_copies_that_cannot_be(tmp_path, name, shape, match):
    save_dicom(tmp_path / "a.dcm", np.zeros((2, 2)))
    write_image(tmp_path / "a.png", torch.zeros(1, 1, 2, 2))
    with pytest.raises(ValueError, match=match):
        write_image(tmp_path / "b.dcm", torch.zeros(shape), source=tmp_path / name)
    assert names(tmp_path) == ["a.dcm", "a.png"]
