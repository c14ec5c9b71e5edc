"""Weights that others published, let in by their sha256 and read as numbers alone.

    state = Weights("deepinv:DnCNN", "dncnn_sigma2_gray.pth", "be3c...").read()

A file of torch is a pickle, which runs what code it likes when it is opened the usual way, and
torch's cache is a folder that any program may write to. So the bytes are hashed before anything
looks into them, those very bytes are read, and read by `torch.load(weights_only=True)`.
"""

import hashlib
import io
import re
import warnings
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

LARGEST = 2**30
"""Number of bytes of the largest file that is read: four times AlexNet."""


@dataclass(frozen=True)
class Weights:
    """One published file of weights, in the folder `checkpoints` of torch hub."""

    what: str
    """Whose weights they are, in messages and where they are asked for."""
    file: str
    """Name of the file."""
    sha256: str = ""
    """Its sha256, hexadecimal; empty if nobody here knows it."""

    @property
    def path(self) -> Path:
        """Path of the file, whether it is there or not. TORCH_HOME moves it."""
        return Path(torch.hub.get_dir()) / "checkpoints" / self.file

    def content(self, allowed: Collection[str] = ()) -> bytes:
        """Bytes of the file, whose sha256 is the known one or one of those `allowed`.

        Raises ValueError for any other file, before anything looks into it, and for no file.
        """
        path = self.path
        if not path.is_file():  # a FIFO would be waited for
            raise ValueError(f"the weights of {self.what} are not at {path}; put the file there")
        with open(path, "rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ValueError(
                f"{path} is larger than {LARGEST >> 20} MiB, which the weights of {self.what} are "
                "not; fetch it again"
            )
        found = hashlib.sha256(content).hexdigest()
        if found not in {self.sha256, *map(checked_sha256, allowed)}:
            known = f"those known here have {self.sha256}" if self.sha256 else "none is known here"
            raise ValueError(
                f"the weights of {self.what} are let in by their sha256: {known}, {path} has "
                f"{found}; {self._remedy(found)}"
            )
        return content

    def read(self, allowed: Collection[str] = ()) -> dict[str, Tensor]:
        """Tensors of the file by name, on the CPU; no code in it is run.

        allowed: sha256 of files that are let in besides the known one. Raises ValueError as
        `content`, and for a file that holds anything but tensors by name.
        """
        content = self.content(allowed)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what it says of other kinds of pickles
                state = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
            state = state.get("state_dict", state)  # as Lightning keeps them
            strange = [name for name, x in state.items() if not isinstance(x, Tensor)]
        except Exception as error:  # whatever a file of another kind makes torch raise
            reason = str(error).split(". ")[0].split("\n")[0] or type(error).__name__
            raise ValueError(
                f"{self.path} holds more than weights, or none, and was not read any further "
                f"({reason}); fetch it again"
            ) from error
        if strange:
            raise ValueError(
                f"{self.path} holds more than weights ({', '.join(map(str, strange[:3]))}); fetch "
                "it again"
            )
        return state

    def _remedy(self, found: str) -> str:
        allow = (
            f"if you trust it, allow it by --allow-weights {found}, in Python by "
            f"proxlab.load({self.what!r}, sha256={found!r})"
        )
        again = "remove it, and fetch it again" if self.sha256 else ""
        if not self.what.startswith("deepinv:"):
            return again
        return f"{again}, or, {allow}" if again else allow


def checked_sha256(text: str) -> str:
    """A sha256 in small letters. Raises ValueError for text that is none."""
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise ValueError(
            f"a sha256 has 64 hexadecimal digits, got {text!r}; `sha256sum FILE` prints it"
        )
    return text.lower()


def listed(text: str) -> list[str]:
    """Each sha256 of a list with commas between, none of empty text. Raises ValueError as above."""
    return [checked_sha256(part.strip()) for part in text.split(",")] if text else []
