"""The format of an image file by its first bytes, whatever the name says.

A TIFF that is called .png would else be decoded by what cuts it to 8 bits and to its first page.
"""

from pathlib import Path

from proxlab.images.admission import regular_file
from proxlab.images.shards import ImageFile, holder

READABLE = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".npy", ".dcm")
"""Suffixes of image files."""

_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": ".png",
    b"\xff\xd8\xff": ".jpg",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
    b"II+\0": ".tif",
    b"MM\0+": ".tif",
    b"\x93NUMPY": ".npy",
}
"""First bytes -> the suffix that goes with them; + is BigTIFF."""
_NO_SUFFIX = ".0123456789"
"""Characters of what follows the last dot of a name that has no suffix: IM.0001, 1.2.840."""
_SYNONYMS = {".jpeg": ".jpg", ".tiff": ".tif"}
_FOREIGN = {
    b"GIF8": "a GIF",
    b"BM": "a BMP",
    b"RIFF": "a WebP or another RIFF",
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "gzip-compressed data",
    b"\x89HDF": "an HDF5",
    b"\0\0\0\x0cjP  ": "a JPEG 2000",
    b"version https://git-lfs": "a pointer of git-lfs instead of the",
    b"<": "an HTML, SVG or XML",
}
"""First bytes -> what has them, in words before "file", of what is often met under a wrong name."""
HEAD = 132
"""Bytes that are looked at: DICOM has its mark behind a preamble of 128."""


def kind_of(path: ImageFile) -> str:
    """The suffix that the content goes by, of READABLE: the file's own where that fits.

        kind_of(Path("scan.png"))       # ".tif" if that is what it holds

    A file without a suffix, or with a number for one ("1.2.840.113"), is known by its content, and
    DICOM under any name. Without its mark DICOM is known by the tag it begins with, if it is called
    .dcm. Raises ValueError for another suffix, an empty file, and content of no such format, and as
    `admission.regular_file`.
    """
    suffix = path.suffix.lower()
    head = first_bytes(path)
    found = next((kind for mark, kind in _SIGNATURES.items() if head.startswith(mark)), None)
    if head[128:132] == b"DICM" and (found is None or found != _SYNONYMS.get(suffix, suffix)):
        found = ".dcm"  # whose preamble may be the head of a TIFF
    named = suffix in READABLE
    if not named and found != ".dcm" and suffix.strip(_NO_SUFFIX):
        raise ValueError(
            f"{path} is of unknown type {path.suffix!r}; supported are {', '.join(READABLE)}"
        )
    if found is None and suffix == ".dcm" and begins_as_dicom(head):
        found = ".dcm"
    if found is None:
        raise ValueError(f"{path} {_fault(suffix, head)}")
    return suffix if _SYNONYMS.get(suffix, suffix) == found else found


def is_unnamed_image(path: Path) -> bool:
    """True for an image whose name does not tell that it is one, as archives keep slices."""
    if path.suffix.strip(_NO_SUFFIX):
        return False
    try:
        kind_of(path)
    except ValueError:
        return False
    return True


def begins_as_dicom(head: bytes) -> bool:
    """True if the first bytes are a tag of the groups that DICOM begins with, 2 or 8."""
    group, element = head[:2], head[2:4]
    little = group in (b"\x02\0", b"\x08\0") and element[1:] == b"\0"
    big = group in (b"\0\x02", b"\0\x08") and element[:1] == b"\0"
    return little or big


def first_bytes(path: ImageFile) -> bytes:
    """The first HEAD bytes; ValueError if there are none or they cannot be read."""
    regular_file(holder(path))
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise ValueError(f"{path} cannot be opened: {error.strerror}; check the rights") from None
    if not head:
        raise ValueError(f"{path} is empty (0 bytes); copy it again")
    return head


def _fault(suffix: str, head: bytes) -> str:
    foreign = next((what for mark, what in _FOREIGN.items() if head.startswith(mark)), None)
    if foreign is None and head[4:8] == b"ftyp":
        foreign = "a HEIC, AVIF or video"
    if foreign is not None:
        return f"holds {foreign} file; save it as PNG, TIFF or npy"
    if suffix not in READABLE:
        return f"is of unknown type {suffix!r}; supported are {', '.join(READABLE)}"
    return (
        f"cannot be decoded, it may be damaged or no {suffix} file (it begins with "
        f"{head[:8]!r}); copy it again, or save it anew as PNG, TIFF or npy"
    )
