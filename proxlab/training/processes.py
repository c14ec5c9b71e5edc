"""Processes that work together, as torchrun starts them: their numbers and what they exchange.

    torchrun --nproc-per-node 2 -m proxlab train lpn-gray

A process that was started otherwise is alone: it is the first of one, and nothing is sent.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

LONGEST_WAIT = timedelta(days=1)
"""Time that a process waits for the others: the first one evaluates alone. Where one fails,
torchrun ends the others at once."""

Made = TypeVar("Made")


@contextmanager
def joined(device: str) -> Iterator[str]:
    """Inside, the processes of torchrun are a group; the value is the device of this one.

    On "cuda" each process of a machine has a device of its own and sums are by NCCL, on "cpu" by
    gloo. Raises ValueError where a machine has fewer devices than processes, and for several
    processes on "mps", of which a machine has one.
    """
    if not (dist.is_available() and dist.is_torchelastic_launched()):
        yield device
        return
    if torch.device(device).type == "mps":
        raise ValueError("a machine has one Apple GPU; start one process, or use --device cpu")
    on_gpu = torch.device(device).type == "cuda"
    if on_gpu:
        place, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if place >= there:
            raise ValueError(
                f"each process needs a CUDA device of its own, but this is number {place + 1} on a "
                f"machine that has {there}; start at most {there} (--nproc-per-node {there}), or "
                "use --device cpu"
            )
        torch.cuda.set_device(place)
        device = f"cuda:{place}"
    dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=LONGEST_WAIT)
    try:
        yield device
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """The number of this process, from 0; the first is 0."""
    return dist.get_rank() if _in_group() else 0


def count() -> int:
    """The number of processes, 1 without torchrun."""
    return dist.get_world_size() if _in_group() else 1


def add_up(model: nn.Module, value: Tensor) -> Tensor:
    """Sum of a scalar over the processes; the gradients in `model` are summed too, in place.

    One sum after the backward pass, where torch's DistributedDataParallel averages during it: that
    is right for equal shares alone, and it neither supports `torch.autograd.grad`, which the
    networks here call in their forward pass, nor knows of what a loss asks of a model by itself.
    """
    value = value.detach()
    if count() == 1:
        return value
    parameters = [p for p in model.parameters() if p.requires_grad]
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    bucket = torch.cat([*(grad.flatten() for grad in grads), value.flatten().to(grads[0])])
    dist.all_reduce(bucket)
    sizes = [p.numel() for p in parameters]
    for p, total in zip(parameters, bucket[:-1].split(sizes), strict=True):
        p.grad = total.view_as(p).to(p)
    return bucket[-1]


def copy_first(tensors: Iterable[Tensor]) -> None:
    """Overwrite tensors by those of the first process; all have the same shapes in turn."""
    if count() > 1:
        for tensor in tensors:
            dist.broadcast(tensor, 0)


def first_says(number: int) -> int:
    """The number that the first process calls this with, in every process."""
    said = torch.tensor(int(number))
    copy_first([said])
    return int(said)


def first_makes(make: Callable[[], Made]) -> Made:
    """The result of `make`, called by the first process alone; all others wait and are told."""
    if count() == 1:
        return make()
    made: list[Any] = [make() if rank() == 0 else None]
    dist.broadcast_object_list(made, 0)
    return made[0]


def to_first(tensor: Tensor | None, shape: tuple[int, ...], owner: int) -> Tensor | None:
    """A float32 tensor of the process `owner`, [shape] on the CPU, in the first; None in others.

    Called by the owner, with the tensor, and by the first process.
    """
    if owner == rank() == 0:
        return tensor
    if rank() == owner:
        assert tensor is not None
        dist.send(tensor.float().cpu().contiguous(), 0)
        return None
    received = torch.empty(shape)
    dist.recv(received, owner)
    return received


def _in_group() -> bool:
    return dist.is_available() and dist.is_initialized()
