"""Pictures for tests: random tensors, integer pixels, and PNG files put together by hand."""

import struct
import zlib

import numpy as np
import torch


def image(*shape, seed=0, dtype=torch.float64):
    """Uniform in [0, 1], the same for the same seed."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def relative(a, b):
    """|a - b| / |b| of the worst image of a batch."""
    return ((a - b).flatten(1).norm(dim=1) / b.flatten(1).norm(dim=1)).max().item()


def whole(rng, bits, channels, size=(5, 7)):
    """Integer pixels [H, W, C] in which every bit of the depth matters."""
    return rng.integers(0, 2**bits, (*size, channels), dtype=np.uint8 if bits == 8 else np.uint16)


def as_tensor(array):
    """[H, W, C] integers -> [1, C, H, W] in [0, 1], computed apart from the package."""
    top = np.iinfo(array.dtype).max
    return torch.tensor(array / top, dtype=torch.float32).permute(2, 0, 1)[None]


def names(folder):
    """Of all files there, hidden ones too."""
    return sorted(p.name for p in folder.iterdir())


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(rows, width, depth, colour, *extra, lines=None):
    """A PNG from raw rows, for kinds that no installed writer makes."""
    head = struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0)
    data = zlib.compress(b"".join(lines or (b"\0" + r for r in rows)))
    parts = [chunk(b"IHDR", head), *extra, chunk(b"IDAT", data), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
