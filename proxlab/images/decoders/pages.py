"""One page of a TIFF of several, as whatever reads an image file takes it."""

from pathlib import Path
from typing import BinaryIO, NamedTuple


class Page(NamedTuple):
    """Page of a TIFF; it has what decoders use of a `Path`.

    `proxlab.images.list_pages` finds them.
    """

    path: Path
    """The file that holds it."""
    number: int
    """Its place among the file's pages, from 1."""
    header: int
    """Offset in bytes of what describes it."""
    data: int | None = None
    """Offset in bytes of its pixels, where the header is that of another page: ImageJ writes one
    header for a large stack."""

    @property
    def name(self) -> str:
        return f"{self.path.name}, page {self.number}"

    @property
    def suffix(self) -> str:
        return self.path.suffix

    def open(self, mode: str = "rb") -> BinaryIO:
        assert mode == "rb", "pages are read only"
        return self.path.open("rb")

    def __str__(self) -> str:
        return f"{self.path}, page {self.number}"
