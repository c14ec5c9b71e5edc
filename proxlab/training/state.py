"""The file that a training run goes on from after it was stopped."""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn


def restore_state(
    path: Path,
    described: dict,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    average: dict[str, Tensor],
) -> tuple[int, float]:
    """Read it into what is given; (steps done, minutes spent).

    Raises ValueError for another file, and for a run of another configuration than `described`.
    """
    state = _read(path)
    if state["config"] != described:
        raise ValueError(
            f"{path} was made with another configuration, {state['config']}; resume with that one "
            "or choose another folder"
        )
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    for name, value in state["average"].items():
        average[name].copy_(value)
    return state["step"], state["minutes"]


def _read(path: Path) -> dict:
    """No code in the file is run. On other content torch raises whatever it stumbles over."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state = torch.load(path, weights_only=True, map_location="cpu")
        lacking = {"config", "step", "minutes", "model", "average", "optimiser"} - set(state)
        if lacking:
            raise ValueError(f"it lacks {', '.join(sorted(lacking))}")
    except Exception as error:
        reason = str(error).split(". ")[0].split("\n")[0] or type(error).__name__
        raise ValueError(
            f"{path} is damaged or not the state of a training run ({reason}); remove it, or "
            "choose another folder"
        ) from error
    return state
