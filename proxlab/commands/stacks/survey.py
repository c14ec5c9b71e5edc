"""Survey of all pages before the work: what cannot be read is refused while nothing is lost yet."""

import argparse
from pathlib import Path
from typing import NamedTuple

from proxlab.commands.problems.measurement import Source
from proxlab.commands.problems.readers import READERS
from proxlab.commands.remarks import Values, values
from proxlab.commands.results.places import check_places, check_type, depth, split
from proxlab.commands.stacks.documents import TIFF, Document
from proxlab.images.files import check_folder
from proxlab.images.reading import READABLE
from proxlab.images.shards import ImageFile


class Target(NamedTuple):
    """A document, and what becomes of it."""

    document: Document
    out: Path
    bits: int
    values: int
    """Numbers in all pages of the document together."""


class PageSeen(NamedTuple):
    """A page that was read once, and is not kept."""

    page: ImageFile
    target: int
    """Number of its document, from 0."""
    shape: tuple[int, int, int]
    """C, H, W."""
    bits: int
    values: Values
    clipped: float
    """Fraction of the pixels that were outside the scale, of DICOM."""
    padded: float
    source: Source
    """The page as its problem takes it, but for its pixels, of which there is one."""


class Survey(NamedTuple):
    """All pages and targets of a run, in their order."""

    pages: list[PageSeen]
    targets: list[Target]
    out: Path
    """File or folder of the results."""


def survey(args: argparse.Namespace, documents: list[Document]) -> Survey:
    """Read every page once, and check every place that is written to.

    Raises ValueError for a problem that takes one image alone, a page that cannot be read, pages
    of one TIFF of several types, and as `check_type` and `check_places`.
    """
    folder = args.input.is_dir()
    pages: list[PageSeen] = []
    targets: list[Target] = []
    out = args.out or _beside(args.input, documents[0], folder)
    if folder:
        _check_out_folder(args, out)
    elif out.suffix.lower() not in TIFF:
        raise ValueError(
            f"cannot write {out}: {args.input} holds {len(documents[0].pages)} pages, and of the "
            "types written here TIFF alone holds several; use .tif, or take one by --page"
        )
    for number, document in enumerate(documents):
        sources = [_source(args, page, pages, number) for page in document.pages]
        place = out / _name(document, sources[0]) if folder else out
        bits = depth(sources[0], place)
        mine = [seen for seen in pages if seen.target == number]
        odd = next((seen for seen in mine if seen.bits != mine[0].bits), None)
        if odd is not None:
            raise ValueError(
                f"{odd.page} has {odd.bits} bits, and the pages before it {mine[0].bits}; save "
                "them as one type, or take one by --page"
            )
        check_type(with_input(args, document.path), sources[0], place, bits)
        counts = [c * h * w for c, h, w in (seen.shape for seen in mine)]
        targets.append(Target(document, place, bits, sum(counts)))
    results: dict[str, Path | None] = {f"the result of {t.document.path}": t.out for t in targets}
    if not folder or out.exists():
        check_places({"--trace": args.trace, **results}, args.overwrite)
    else:
        _check_names(results)
        check_places({"--trace": args.trace}, args.overwrite)
    return Survey(pages, targets, out)


def with_input(args: argparse.Namespace, page: ImageFile) -> argparse.Namespace:
    """The arguments for one page."""
    return argparse.Namespace(**vars(args) | {"input": page})


def _source(
    args: argparse.Namespace, page: ImageFile, pages: list[PageSeen], number: int
) -> Source:
    """A page as its problem takes it, without its pixels; it is added to the pages."""
    source = READERS[args.problem](with_input(args, page))
    image = source.image
    if source.again is None or image is None:
        raise ValueError(
            f"{args.problem} takes one image at a time, and {args.input} is a folder or has "
            "several pages; name one file, of a TIFF one page by --page"
        )
    _, channels, height, width = image.pixels.shape
    one = image._replace(pixels=image.pixels[..., :1, :1].clone())
    stub = Source(one, _never, source.grows)
    pages.append(
        PageSeen(
            page,
            number,
            (channels, height, width),
            image.bits,
            values(str(args.input), image),
            image.clipped,
            image.padded,
            stub,
        )
    )
    return stub


def _never(generator: object):
    raise AssertionError("a survey measures nothing")


def _beside(path: Path, document: Document, folder: bool) -> Path:
    """Place of the results if nobody says: FOLDER-restored, or INPUT-restored.tif."""
    if folder:
        path = path.resolve() if path.name in ("", "..") else path
        return path.with_name(f"{path.name}-restored")
    suffix = path.suffix if path.suffix.lower() in TIFF else ".tif"
    stem = path.stem if path.suffix.lower() in TIFF else path.name
    return path.with_name(f"{stem}-restored{suffix}")


def _name(document: Document, source: Source) -> str:
    """Name of a file's result in the folder of results: its own, with a suffix that is right."""
    if document.layout is not None and document.path.suffix.lower() not in TIFF:
        return f"{document.path.stem}.tif"
    stem, suffix = split(document.path, source.image, source.grows)
    return stem + suffix


def _check_out_folder(args: argparse.Namespace, out: Path) -> None:
    if out.is_file() or (out.suffix.lower() in READABLE and not out.exists()):
        raise ValueError(
            f"cannot write {out}: {args.input} is a folder, and so is its result; name a folder"
        )
    check_folder(out)


def _check_names(results: dict[str, Path | None]) -> None:
    """ValueError for two results of one name, in a folder that is not there yet."""
    taken: dict[Path | None, str] = {}
    for what, path in results.items():
        if taken.setdefault(path, what) != what:
            raise ValueError(
                f"{what} and {taken[path]} are both to be {path}; rename one of the two files"
            )
