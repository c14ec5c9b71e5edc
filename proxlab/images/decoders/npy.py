"""npy and npz files: read no further than their headers allow, written so that a full disk is told.

NumPy's own writer maps or dumps an array, and a full disk then kills the process (SIGBUS), or ends
in an error without a reason; plain writes say what is the matter.
"""

import errno
import io
import math
import os
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from proxlab.images.admission import Unreadable, check_bytes, check_values
from proxlab.images.decoder_failures import decoding
from proxlab.images.shards import ImageFile


def read_npy(path: ImageFile) -> np.ndarray:
    """The array of an npy file.

    Raises ValueError if it is damaged, holds Python objects, or is too large: its header promises
    more than `admission.MOST_VALUES` values.
    """
    with decoding(path), path.open("rb") as file:
        return _read(path, file)


def read_npz(path: Path, name: str | None) -> np.ndarray:
    """One array of an npz file: that of a name, or the only one. Raises as `read_npy`, and
    ValueError without such an array."""
    with decoding(path), zipfile.ZipFile(path) as archive:
        names = [n.removesuffix(".npy") for n in archive.namelist()]
        wanted = names[0] if name is None and len(names) == 1 else name
        if wanted in names:
            info = archive.infolist()[names.index(wanted)]
            check_bytes(f"{wanted} of {path}", info.file_size)
            with archive.open(info) as file:
                return _read(f"{wanted} of {path}", cast(BinaryIO, file))
    fault = f"no array {name!r}" if name is not None else f"{len(names)} arrays"
    raise ValueError(f"{path} holds {fault}; pick one as {path}:NAME of {', '.join(names)}")


def write_npy(path: Path, array: np.ndarray) -> None:
    """Write one array. Raises OSError if the disk is full."""
    write_npy_parts(path, array.shape, array.dtype, [array])


def write_npy_parts(
    path: Path, shape: tuple[int, ...], dtype: Any, parts: Iterable[np.ndarray]
) -> None:
    """Write an array of that shape part by part, so that memory holds one of them.

    Room for all of it is taken at once: a disk that is too full is known before the first part is
    computed. Raises OSError then, and ValueError if the parts do not add up to the shape.
    """
    dtype = np.dtype(dtype)
    size, written = math.prod(shape) * dtype.itemsize, 0
    with path.open("wb") as file:
        header = {"descr": dtype.str, "fortran_order": False, "shape": tuple(shape)}
        np.lib.format.write_array_header_1_0(file, cast(Any, header))
        file.flush()
        reserve(file, size)
        for part in parts:
            block = np.ascontiguousarray(part, dtype)
            file.write(block.reshape(-1).view(np.uint8).data)
            written += block.nbytes
    if written != size:
        raise ValueError(f"an array {list(shape)} has {size} bytes, and its parts {written}")


def reserve(file: BinaryIO, size: int) -> None:
    """Take room for `size` more bytes, where the system can."""
    reserve = os.posix_fallocate if sys.platform == "linux" else None
    if reserve is None or not size:
        return
    try:
        reserve(file.fileno(), file.tell(), size)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
            raise


def _read(what: object, file: BinaryIO) -> np.ndarray:
    version = np.lib.format.read_magic(file)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise Unreadable(f"{what} is npy of version {version}; save it anew with numpy.save")
    shape, fortran, dtype = read_header(file)
    if dtype.hasobject:
        raise Unreadable(
            f"{what} holds Python objects, which can run code: Object arrays cannot be read; save "
            "numbers"
        )
    size = math.prod(shape) * dtype.itemsize
    check_values(what, shape)
    check_bytes(what, size)
    data = np.empty(size, np.uint8)
    done = 0
    while done < size:
        got = cast(io.BufferedIOBase, file).readinto(data[done:].data)
        if not got:
            raise ValueError(f"{done} of {size} bytes")
        done += got
    array = data.view(dtype)
    return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)
