"""Documents of a run: each a file with its pages, and the file that becomes of it."""

import argparse
from pathlib import Path
from typing import NamedTuple

from proxlab.images import list_images, list_pages
from proxlab.images.decoders.kinds import kind_of
from proxlab.images.decoders.pages import Page
from proxlab.images.decoders.tiff_layout import Layout, tiff_layout
from proxlab.images.shards import ImageFile, holder

TIFF = (".tif", ".tiff")


class Document(NamedTuple):
    """A file that is read and one that is written."""

    path: Path
    pages: list[ImageFile]
    """Its images: the file itself, or pages of a TIFF."""
    layout: Layout | None
    """Layout of a TIFF of several pages; None for one image."""


def one_page(args: argparse.Namespace) -> argparse.Namespace:
    """The arguments with the page of INPUT that --page asks for in its place, if it does.

    Raises ValueError for a file without such a page.
    """
    if args.page is None:
        return args
    pages = list_pages(args.input)
    found = next((page for page in pages if page.number == args.page), None)
    if found is None:
        known = ", ".join(str(page.number) for page in pages[:3])
        known += f", ... {pages[-1].number}" if len(pages) > 3 else ""
        raise ValueError(
            f"{args.input} has the pages {known}; --page is one of them, not {args.page}"
        )
    whole = len(pages) == 1 and found.data is None
    return argparse.Namespace(**vars(args) | {"input": args.input if whole else found})


def find_documents(args: argparse.Namespace) -> list[Document]:
    """The files of INPUT, a folder, or INPUT itself if it has several pages; none for one image.

    Raises ValueError for a folder without an image, and for a TIFF that cannot be opened.
    """
    path = args.input
    if isinstance(path, Page) or not (path.is_dir() or path.is_file()):
        return []
    if path.is_dir():
        return [document(file) for file in list_images(path)]
    if path.suffix.lower() == ".npy":  # a sinogram among them
        return []
    found = document(path)
    return [] if found.layout is None else [found]


def document(path: Path) -> Document:
    """A file with its pages. Raises ValueError for one that is no image or damaged."""
    if kind_of(path) in TIFF:
        layout = tiff_layout(path)
        if len(layout.pages) + len(layout.left_out) > 1:
            return Document(path, list(layout.pages), layout)
    return Document(path, [path], None)


def left_out(folder: Path) -> list[str]:
    """Names of what lies in a folder and is no image: files, and folders, which are not entered."""
    images = set(list_images(folder))
    return sorted(p.name for p in folder.iterdir() if p not in images and p.name[:1] != ".")


def called(path: ImageFile, alone: bool) -> str:
    """Name of a page in a sentence; alone: of a run on one file, which need not be named."""
    if not isinstance(path, Page):
        return holder(path).name
    return f"page {path.number}" if alone else f"{path.path.name} page {path.number}"
