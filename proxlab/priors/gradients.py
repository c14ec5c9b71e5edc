"""Answers through which no gradient passes, neither a wrong one nor, in silence, none at all."""

import torch
from torch import Tensor


class _Stop(torch.autograd.Function):
    @staticmethod
    def forward(ctx, said: str, answer: Tensor, *inputs: Tensor) -> Tensor:
        ctx.said = said
        return answer.view_as(answer)

    @staticmethod
    def backward(ctx, *grad: Tensor):
        raise ValueError(ctx.said)


def stopped(said: str, answer: Tensor, *inputs: Tensor) -> Tensor:
    """The answer, computed from `inputs` by iterations that autograd did not follow.

    Where one of them requires a gradient, so does the answer, and whoever then asks for it gets a
    ValueError with `said`, the remedy in it.
    """
    if torch.is_grad_enabled() and any(x.requires_grad for x in inputs):
        return _Stop.apply(said, answer, *inputs)
    return answer
