"""The exponential moving average of a model's weights, which is what a training leaves."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class Average:
    """Averaged weights of a model, by name, that begin with its own."""

    def __init__(self, model: nn.Module):
        self.model = model
        self.weights = {k: v.detach().clone() for k, v in model.state_dict().items()}

    def update(self, decay: float) -> None:
        """Move towards the weights of now by 1 - `decay`."""
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                self.weights[name].lerp_(value, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside, the model has the averaged weights."""
        own = {k: v.clone() for k, v in self.model.state_dict().items()}
        self.model.load_state_dict(self.weights)
        try:
            yield
        finally:
            self.model.load_state_dict(own)
