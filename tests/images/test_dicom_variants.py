"""DICOM as scanners and archives write it: padding, no file meta information, bits, deflated."""

import zlib

import numpy as np
import pytest
import torch

from proxlab.images import read_image, write_image
from proxlab.images.decoders import dicom_data
from tests.images.test_dicom import KINDS, dataset, save_dicom

BODY = np.array([[0, 1024, 2000], [4095, 30, 1100]])


def hounsfield(path):
    """Values as read, with no dark place outside of the scale."""
    return (read_image(path).pixels[0, 0] * 4095 - 1024).round()


def body():
    return torch.tensor(BODY - 1024).clamp(-1024, 3071).float()


PADDINGS = {
    "unsigned": (63536, dict(PixelRepresentation=0, PixelPaddingValue=63536)),
    "signed": (-2000, dict(PixelPaddingValue=-2000)),
    "range": (63500, dict(PixelRepresentation=0, PixelPaddingValue=63536, Range=63000)),
    "range up": (-1990, dict(PixelPaddingValue=-2000, Range=-1900)),
    "12 bits": (63536, dict(KINDS["12 bits"], PixelPaddingValue=63536)),
}


@pytest.mark.parametrize("kind", PADDINGS)
def test_padding_becomes_air_and_its_share_is_told(tmp_path, kind):
    padding, fields = PADDINGS[kind]
    if "Range" in fields:
        fields = {k: v for k, v in fields.items() if k != "Range"} | {
            "PixelPaddingRangeLimit": fields["Range"]
        }
    stored = BODY.copy()
    stored[0, 2] = padding
    expected = body()
    expected[0, 2] = -1024
    save_dicom(tmp_path / "a.dcm", stored, **fields)
    loaded = read_image(tmp_path / "a.dcm")
    assert torch.equal((loaded.pixels[0, 0] * 4095 - 1024).round(), expected)
    assert (loaded.padded, loaded.clipped) == (1 / 6, 0)
    without = {k: v for k, v in fields.items() if not k.startswith("PixelPadding")}
    save_dicom(tmp_path / "b.dcm", stored, **without)
    plain = read_image(tmp_path / "b.dcm")
    assert plain.padded == 0  # and that the value alone would be bone, or clipped
    assert plain.clipped or not torch.equal(plain.pixels, loaded.pixels)


@pytest.mark.parametrize(
    "stated, representation, padding",
    [(63536, 1, -2000), (-2000, 0, 63536)],
    ids=["unsigned for signed", "signed for unsigned"],
)
def test_padding_of_the_other_sign_is_understood(tmp_path, stated, representation, padding):
    pydicom = pytest.importorskip("pydicom")
    stored = BODY.copy()
    stored[0, 0] = padding
    save_dicom(tmp_path / "a.dcm", stored, PixelRepresentation=representation)
    data = dataset(tmp_path / "a.dcm")
    data.add(pydicom.DataElement(0x00280120, "SS" if stated < 0 else "US", stated))
    data.save_as(tmp_path / "a.dcm")
    assert read_image(tmp_path / "a.dcm").padded == 1 / 6


def test_a_copy_of_a_padded_slice_has_no_padding(tmp_path):
    stored = np.where(BODY == 30, 63536, BODY)
    save_dicom(tmp_path / "a.dcm", stored, PixelRepresentation=0, PixelPaddingValue=63536)
    pixels = read_image(tmp_path / "a.dcm").pixels
    write_image(tmp_path / "b.dcm", pixels, source=tmp_path / "a.dcm")
    again = read_image(tmp_path / "b.dcm")
    assert torch.equal(again.pixels, pixels) and again.padded == 0


def bare(path, implicit, marked, pixels=None):
    """A slice without file meta information, and without the mark DICM unless `marked`."""
    save_dicom(path, BODY)
    data = dataset(path)
    del data.file_meta
    if not marked:
        del data.preamble
    if pixels is not None:
        data.PixelData = pixels
        data["PixelData"].VR, data["PixelData"].is_undefined_length = "OB", True
    data.save_as(path, implicit_vr=implicit, little_endian=True)
    assert (path.read_bytes()[128:132] == b"DICM") == marked


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("marked", [True, False])
def test_file_meta_information_may_be_missing(tmp_path, implicit, marked):
    from pydicom.encaps import encapsulate

    path = tmp_path / "a.dcm"
    bare(path, implicit, marked)
    assert torch.equal(hounsfield(path), body())
    write_image(tmp_path / "c.dcm", read_image(path).pixels, source=path)
    assert torch.equal(hounsfield(tmp_path / "c.dcm"), body())
    bare(path, implicit, marked, encapsulate([b"film"]))
    with pytest.raises(ValueError, match="no file meta information, and its pixels are compressed"):
        read_image(path)
    bare(tmp_path / "slice", implicit, marked)
    if marked:
        assert torch.equal(hounsfield(tmp_path / "slice"), body())
    else:  # nothing tells that it is DICOM
        with pytest.raises(ValueError, match="is of unknown type ''"):
            read_image(tmp_path / "slice")


@pytest.mark.parametrize("name", ["slice", "1.2.840.113", "a.ima", "a.png"])
def test_dicom_is_known_under_any_name(tmp_path, name):
    save_dicom(tmp_path / name, BODY)
    loaded = read_image(tmp_path / name)
    assert loaded.kind == ".dcm" and torch.equal(hounsfield(tmp_path / name), body())
    write_image(tmp_path / "b.dcm", loaded.pixels, source=tmp_path / name)


@pytest.mark.parametrize("unit", ["", None, "HU", "HU "])
def test_an_empty_rescale_type_means_hounsfield_units(tmp_path, unit):
    save_dicom(tmp_path / "a.dcm", BODY, RescaleType=unit)
    assert torch.equal(hounsfield(tmp_path / "a.dcm"), body())


@pytest.mark.parametrize(
    "fields, match",
    [
        (dict(BitsStored=12), r"bit 15 is the highest of 12 .*HighBit to 11"),
        (dict(HighBit=11), r"bit 11 is the highest of 16 .*HighBit to 15"),
        (dict(BitsStored=17, HighBit=16), "17 of 16 bits"),
        (dict(Rows=65535, Columns=65535), "65535 x 65535, 4295 million values.*268 million"),
        (dict(Rows=None), "damaged"),
    ],
)
def test_bits_and_sizes_that_cannot_be(tmp_path, fields, match):
    save_dicom(tmp_path / "a.dcm", np.zeros((2, 2)))
    data = dataset(tmp_path / "a.dcm")
    for name, value in fields.items():
        setattr(data, name, value)
    data.save_as(tmp_path / "a.dcm")
    with pytest.raises(ValueError, match=match):
        read_image(tmp_path / "a.dcm")


def deflated(path, zeros):
    """A slice as a deflated data set, with a private element of so many zeros."""
    save_dicom(path, BODY)
    data = dataset(path)
    data.add_new(0x00091010, "OB", bytes(1000))
    data.file_meta.TransferSyntaxUID = dicom_data.DEFLATED
    data.save_as(path, enforce_file_format=True)
    whole = path.read_bytes()
    start = whole.index(b"\x02\0\x10\0") + 8 + len(dicom_data.DEFLATED)
    found = next(i for i in range(start, start + 200) if _inflates(whole[i:]))
    plain = zlib.decompress(whole[found:], -15)
    # the length of the private element, and its zeros
    at = plain.index(b"\x09\0\x10\x10OB\0\0") + 8
    plain = plain[:at] + zeros.to_bytes(4, "little") + bytes(zeros) + plain[at + 4 + 1000 :]
    pack = zlib.compressobj(9, zlib.DEFLATED, -15)
    path.write_bytes(whole[:found] + pack.compress(plain) + pack.flush())


def _inflates(data):
    try:
        return len(zlib.decompress(data, -15)) > 1000
    except zlib.error:
        return False


def test_a_deflated_slice_is_read_and_one_that_would_fill_memory_refused(tmp_path, monkeypatch):
    deflated(tmp_path / "a.dcm", 5000)
    assert torch.equal(hounsfield(tmp_path / "a.dcm"), body())
    monkeypatch.setattr(dicom_data, "MOST_UNPACKED", 2**21)
    deflated(tmp_path / "b.dcm", 2**23)
    assert (tmp_path / "b.dcm").stat().st_size < 2**15
    with pytest.raises(ValueError, match="unpacks to 3145728 bytes or more, .* 2097152 are read"):
        read_image(tmp_path / "b.dcm")
