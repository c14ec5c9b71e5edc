"""The device that a command computes on."""

import torch


def device(name: str) -> str:
    """Device by its name; "auto" is CUDA where there is one, else the CPU.

    Raises ValueError for another name, and for "cuda" where there is none.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise ValueError(f"device is auto, cpu or cuda, got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("no CUDA device was found; use --device cpu")
    return name
