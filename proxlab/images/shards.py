"""Image files inside tar shards, found once by their headers and then read by their offsets.

The layout is webdataset's: shard-000000.tar with members 000123.jpg, beside them what else belongs
to sample 000123 (.json, .cls), which is passed over. That package itself reads shards from start to
end and shuffles what a buffer holds, so that a draw depends on all draws before it. Here a draw is
to depend on (seed, step) alone, so any member can be read at any time.
"""

import glob
import io
import tarfile
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from proxlab.images.admission import regular_file
from proxlab.images.decoders.pages import Page


class Member(NamedTuple):
    """File inside an uncompressed tar file; it has what decoders use of a `Path`."""

    shard: Path
    name: str
    offset: int
    size: int
    """Bytes, as is `offset`."""

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix

    def open(self, mode: str = "rb") -> BinaryIO:
        assert mode == "rb", "members are read only"
        return io.BufferedReader(_Section(self))

    def __str__(self) -> str:
        return f"{self.name} in {self.shard}"


ImageFile = Path | Member | Page
"""An image file on its own or in a shard, or one page of a file of several."""


def holder(path: ImageFile) -> Path:
    """The file that lies on the disk: the image file itself, its shard, or what has the page."""
    match path:
        case Member():
            return path.shard
        case Page():
            return path.path
    return path


def find_shards(place: Path) -> list[Path]:
    """The tar files by name: one file, those of a folder, or of a pattern ("train/a-*.tar").

    Raises ValueError for a pattern that finds nothing, and for a file that is no .tar.
    """
    if place.is_dir():
        return sorted(p for p in place.glob("*.tar") if not p.name.startswith("."))
    found = [place] if place.exists() else sorted(map(Path, glob.glob(str(place))))
    if not found:
        raise ValueError(
            f"{place} does not exist; give a folder of images or of .tar shards, one .tar, or a "
            "pattern in quotes such as 'shard-*.tar'"
        )
    odd = [path for path in found if path.suffix.lower() != ".tar" or not path.is_file()]
    if odd:
        raise ValueError(
            f"{odd[0]} is no .tar file; give a folder of images, or shards, which are tar files "
            "that are not compressed"
        )
    return found


def list_members(shard: Path, suffixes: tuple[str, ...]) -> list[Member]:
    """The image files of a shard, those with one of the `suffixes`, in the order they lie there.

    Raises ValueError for a file that is no tar file, compressed, damaged or cut short, and for a
    shard without any image, with two images of one sample, an empty image or a link. What is no
    ordinary file is not opened.
    """
    regular_file(shard)
    try:
        tar = tarfile.open(shard, "r:")  # noqa: SIM115  (closed below, errors told apart)
    except tarfile.TarError as error:
        raise ValueError(
            f"{shard} is no tar file, compressed, or damaged ({error}); unpack or copy it again"
        ) from None
    with tar:
        try:
            entries = tar.getmembers()
        except tarfile.TarError as error:
            seen = tar.members  # pyright: ignore[reportAttributeAccessIssue]  (the stubs lack it)
            last = seen[-1].name if seen else "nothing"
            raise ValueError(
                f"{shard} is damaged or cut short in {last} or after it ({error}); copy it again"
            ) from None
    members, end = {}, 0
    for entry in entries:
        end = entry.offset_data + (-(-entry.size // 512) * 512 if entry.isreg() else 0)
        path = PurePosixPath(entry.name)
        if entry.isdir() or path.name.startswith(".") or path.suffix.lower() not in suffixes:
            continue
        member = Member(shard, entry.name, entry.offset_data, entry.size)
        if not entry.isreg() or entry.issparse():
            raise ValueError(f"{member} is a link or a sparse file; write the image itself")
        if not entry.size:
            raise ValueError(f"{member} is empty (0 bytes); write the shard again")
        # A sample is what has the name up to the first dot of the file's.
        sample = str(path.parent / path.name.split(".")[0])
        if sample in members:
            raise ValueError(
                f"{shard} holds two images of sample {sample}, {members[sample].name} and "
                f"{member.name}; keep one of them"
            )
        members[sample] = member
    _check_end(shard, end, entries[-1].name if entries else "nothing")
    if not members:
        raise ValueError(f"{shard} holds no image; looked for members {', '.join(suffixes)}")
    return list(members.values())


def _check_end(shard: Path, end: int, last: str) -> None:
    """Raise ValueError unless the shard ends at `end`, where `tarfile` stopped.

    It stops at a damaged header too, without a word.
    """
    with shard.open("rb") as file:
        file.seek(end)
        rest = file.read(2**20)
    if not rest:
        raise ValueError(f"{shard} is cut short in {last} or after it; copy it again")
    if rest.strip(b"\0"):
        raise ValueError(
            f"{shard} is damaged after {last}, or several tar files in one; write it again"
        )


class _Section(io.RawIOBase):
    """Bytes of a member, as a file of its own."""

    def __init__(self, member: Member):
        self._file = member.shard.open("rb", buffering=0)
        self._first, self._size, self._at = member.offset, member.size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer) -> int:
        left = max(0, self._size - self._at)
        self._file.seek(self._first + self._at)
        got = self._file.readinto(memoryview(buffer)[:left])
        self._at += got
        return got

    def close(self) -> None:
        self._file.close()
        super().close()
