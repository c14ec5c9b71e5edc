"""The device that a command computes on."""

import torch

NAMES = ("cpu", "cuda", "mps")


def device(name: str) -> str:
    """Device by its name; "auto" is CUDA where there is one, else the CPU.

    "mps" is an Apple GPU. It has no float64, so that what is summed there is known to float32, and
    "auto" does not choose it. Raises ValueError for another name, and for a device that is not
    there.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name not in NAMES:
        raise ValueError(f"device is auto, cpu, cuda or mps, got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("no CUDA device was found; use --device cpu")
    if name == "mps" and not torch.backends.mps.is_available():
        raise ValueError("no Apple GPU was found; use --device cpu")
    return name


def training_device(name: str) -> str:
    """The same for training, which takes no "mps": losses are summed in float64."""
    if name == "mps":
        raise ValueError("networks are trained on cpu or cuda, in float64 in part; not on mps")
    return device(name)
