"""Remarks of a decoder are passed on if it succeeds, and never taken for damage of the file."""

import logging
import warnings

import pytest
import torch
from PIL import Image

from proxlab.images import read_image
from proxlab.images.decoder_failures import decoding
from tests.images.pictures import whole


@pytest.mark.parametrize("name", ["tifffile", "PIL.TiffImagePlugin", "pydicom"])
def test_remarks_of_a_decoder_are_passed_on_unless_it_fails(tmp_path, caplog, name):
    def remark():
        logging.getLogger(name).warning("odd tag")
        warnings.warn("odd size", stacklevel=2)

    with pytest.warns(UserWarning, match="odd size") as seen, decoding(tmp_path):
        remark()
        assert not caplog.messages
    assert caplog.messages == ["odd tag"] and len(seen) == 1
    caplog.clear()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with pytest.raises(ValueError, match="cut short .*broken"), decoding(tmp_path):
            remark()
            raise KeyError("broken")
    assert not seen and not caplog.messages
    logging.getLogger(name).warning("later")
    assert caplog.messages == ["later"]


def test_a_remark_that_the_caller_makes_an_error_is_raised_as_what_it_is(tmp_path):
    ended = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="^odd size$"), decoding(tmp_path):
            warnings.warn("odd size", stacklevel=1)
            ended = True
    assert ended


def test_a_remark_from_no_module_is_passed_on(tmp_path):
    with pytest.warns(UserWarning, match="odd size"), decoding(tmp_path):
        warnings.warn_explicit("odd size", UserWarning, "made up.py", 1)


@pytest.mark.parametrize("module", [__name__, "another"])
def test_a_filter_by_module_holds_for_remarks(tmp_path, module):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", module=module)
        with decoding(tmp_path):
            warnings.warn("odd size", stacklevel=1)
    assert len(seen) == (module == "another")


def test_damage_is_told_from_a_remark_in_a_file(tmp_path, rng):
    """Pillow warns of camera data that are cut short, and the pixels are whole all the same."""
    image = Image.fromarray(whole(rng, 8, 3))
    image.save(tmp_path / "a.png")
    image.save(tmp_path / "odd.png", exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0")
    plain = read_image(tmp_path / "a.png").pixels
    with pytest.warns(UserWarning, match="Corrupt EXIF data"):
        assert torch.equal(read_image(tmp_path / "odd.png").pixels, plain)
    for data in ((tmp_path / "odd.png").read_bytes(), (tmp_path / "a.png").read_bytes()):
        (tmp_path / "cut.png").write_bytes(data[:-30])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(ValueError, match="cannot be decoded"):
                read_image(tmp_path / "cut.png")
            with pytest.raises(UserWarning, match="Corrupt EXIF data"):
                read_image(tmp_path / "odd.png")
