"""Tar shards for tests, cut as webdataset cuts them."""

import io
import tarfile


def write_shards(folder, out, each=8):
    """The files of a folder by name in shards of `each`, in the new folder `out`."""
    out.mkdir()
    paths = sorted(folder.iterdir())
    for i in range(0, len(paths), each):
        members = {path.name: path.read_bytes() for path in paths[i : i + each]}
        write_shard(out / f"shard-{i // each:06d}.tar", members)
    return out


def write_shard(path, members):
    """A tar file of members name -> bytes."""
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path
