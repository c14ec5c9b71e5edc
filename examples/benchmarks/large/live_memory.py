"""Memory of live tensors, an operation at a time: what a prox or a run holds, on any machine."""

import weakref

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveMemory(TorchDispatchMode):
    """Bytes of the tensors that were made within a `with` and live: now, and at most.

    What an operation works in, and gives back before it ends, is not seen.
    """

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for one in tree_leaves(made):
            if isinstance(one, Tensor):
                for part in _parts(one):
                    self._count(part.untyped_storage())
        self.peak = max(self.peak, self.now)
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        place, size = storage._cdata, storage.nbytes()
        if place not in self._seen:
            self._seen.add(place)
            self.now += size
            weakref.finalize(storage, self._gone, place, size)

    def _gone(self, place: int, size: int) -> None:
        self._seen.discard(place)
        self.now -= size


def _parts(tensor: Tensor) -> tuple[Tensor, ...]:
    """The dense tensors that a tensor is made of."""
    if tensor.layout is torch.sparse_csr:
        return tensor.values(), tensor.crow_indices(), tensor.col_indices()
    return (tensor,)
