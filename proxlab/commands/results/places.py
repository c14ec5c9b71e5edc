"""Places of results: names, types and depths of what `proxlab restore` writes, checked before."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from proxlab.commands.problems.measurement import Source
from proxlab.images import LoadedImage
from proxlab.images.decoders.pages import Page
from proxlab.images.dicom import check_source
from proxlab.images.files import check_writable
from proxlab.images.image_writing import WRITABLE
from proxlab.images.reading import READABLE, Scale
from proxlab.images.shards import ImageFile, holder


def check_outputs(args: argparse.Namespace, source: Source, out: Path, bits: int) -> None:
    """ValueError for a place that cannot be written to: before the work, so that none is lost."""
    check_type(args, source, out, bits)
    places = {"the image": out, "--trace": args.trace} | dict(source.files)
    check_places(places, args.overwrite)


def check_type(args: argparse.Namespace, source: Source, out: Path, bits: int) -> None:
    """ValueError unless files like `out` can hold what is made of INPUT."""
    path: ImageFile = args.input
    kind = out.suffix.lower()
    if kind == ".dcm":
        _check_dicom(args, source, out)
    elif kind not in WRITABLE:
        raise ValueError(
            f"cannot write {out}: {kind or 'a file without suffix'} is no type of image known "
            "here; use .png or .npy"
        )
    elif bits not in WRITABLE[kind]:
        what = "an image from a sinogram" if source.image is None else path
        raise ValueError(
            f"cannot write {out}: {what} has {bits} bits and {kind} only 8; use .png or .tif"
        )


def check_places(places: dict[str, Path | None], overwrite: bool) -> None:
    """ValueError or FileExistsError for files, by what they are called, that cannot be written."""
    taken: dict[Path, str] = {}
    for what, path in places.items():
        if path is None:
            continue
        other = taken.setdefault(path.resolve(), what)
        if other != what:
            raise ValueError(
                f"{what} and {other} are both to be {path}; choose another name for one"
            )
        check_writable(path, overwrite)


def _check_dicom(args: argparse.Namespace, source: Source, out: Path) -> None:
    """ValueError unless the result can be a copy of the DICOM file INPUT, its pixels replaced.

    Another image can be no DICOM, for want of a patient, nor one of another size than its source.
    """
    path: ImageFile = args.input
    if source.image is None or source.image.kind != ".dcm":
        raise ValueError(
            f"cannot write {out}: DICOM is written only as a copy of the DICOM file that the image "
            f"came from, and {path} is none; use .png or .npy"
        )
    if source.grows:
        why = "of superres" if args.problem == "superres" else "with --boundary valid"
        raise ValueError(
            f"cannot write {out}: {why} the result is larger than {path}; use .png or .npy"
        )
    check_source(holder(path))


def beside(path: ImageFile, source: Source) -> Path:
    """Path of the result if none is told: INPUT-restored, of INPUT's type where that will do.

    A sinogram becomes an image to look at; of a page of a stack the name tells the number.
    """
    stem, suffix = split(holder(path), source.image, source.grows)
    page = f"-page{path.number}" if isinstance(path, Page) else ""
    return holder(path).with_name(f"{stem}{page}-restored{suffix}")


def split(path: Path, image: LoadedImage | None, grows: bool) -> tuple[str, str]:
    """Stem of a file's name, and the suffix of what is made of the image in it."""
    kind = "" if image is None else image.kind
    keeps = kind in WRITABLE or (kind == ".dcm" and not grows)
    suffix = path.suffix if path.suffix.lower() == kind else kind  # a TIFF may be called .png
    # A number behind a dot is no suffix: IM.0001, 1.2.840.
    stem = path.stem if path.suffix.lower() in READABLE else path.name
    return stem, suffix if keeps else ".png"


def depth(source: Source, out: Path) -> int:
    """Bits of the result's file: those of INPUT; floats where the type takes them, else 16."""
    bits = 16 if source.image is None else source.image.bits
    floats = 32 in WRITABLE.get(out.suffix.lower(), ())
    return bits if bits < 32 or floats else 16


def written_scale(told: Scale | None, read: int, out: Path, bits: int) -> Scale | None:
    """Values of the file that 0 and 1 become, for a --scale that was told, or None.

    read, bits: depths of the file that was read and of the one that is written.
    Those that became 0 and 1; but where floats go into a file of whole numbers, all that its bits
    hold, since the values of floats may lie between two whole numbers.
    """
    whole = bits < 32 and out.suffix.lower() != ".npy"
    return None if read == 32 and whole else told


def clipped_if_told(args: argparse.Namespace, image: Tensor) -> tuple[Tensor, float]:
    """The image, with --clip between 0 and 1, and the fraction of its pixels that were not."""
    if not args.clip:
        return image, 0.0
    return image.clamp(0, 1), float(((image < 0) | (image > 1)).double().mean())


def clipped_words(args: argparse.Namespace, share: float, where: str = "") -> Iterator[str]:
    """Sentence on what of the image its file does not hold; where: more on it."""
    if share:
        held = "[0, 1]" if args.clip or args.scale is None else "what its type holds"
        percent = f"{100 * share:.2f} %"
        yield f"{percent} of the pixels were outside {held} and clipped in the file{where}"
