"""A device that is none: tensors that say they lie on an accelerator, and are computed on the CPU.

    with Accelerator() as device:
        x = torch.rand(2, 1, 64, 64).to(device)     # x.device.type is "stand_in"
        ...

Code that asks where a tensor lies takes its way for accelerators, a tensor left on the CPU beside
one on the device is refused as a GPU refuses it, and every operation on the device is told, before
it runs, to whoever wants to know (`examples.kernels.counting`). With `doubles` False it has no
float64, as Apple's GPUs have none: neither holds it any nor writes it into a tensor of the CPU, and
`solvers` is told so. It stands on torch's hooks for devices written in Python.

Autograd counts devices once, at the first way back of a process. What goes a way back on this one
runs in a process whose first way back is not older than its first `Accelerator`.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only

from solvers.protocols import WITHOUT_DOUBLES

try:
    from torch.utils.backend_registration import _setup_privateuseone_for_python_backend as _setup
except ImportError:  # before torch 2.10
    _setup = None

AVAILABLE = _setup is not None
"""Whether this torch can have such a device."""
NAME = "stand_in"
ATTENTION = "aten.scaled_dot_product_attention.default"
CONJUGATE = "aten._conj.default"
DOUBLES = torch.float64, torch.complex128
Listener = Callable[[str, tuple, dict], object]
"""Told the name of each operation with its arguments, as "aten.add.Tensor"."""
_now: "Accelerator | None" = None
_library: list = []


class OnDevice(Tensor):
    """A tensor on the device; its numbers lie in `inner`, on the CPU."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor):
        """`inner` is a plain tensor. Raises TypeError for float64 where the device has none."""
        if _refused(inner):
            raise TypeError(f"this device has no {inner.dtype}")
        made = Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=torch.device(NAME, 0),
        )
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        """Outside a mode: where autograd runs its own way back."""
        return _run(func, args, kwargs or {})

    def tolist(self):
        """The numbers, which waits for the device."""
        return self.cpu().tolist()

    def __repr__(self):
        return f"OnDevice({self.inner})"


class Accelerator(TorchDispatchMode):
    """A block in which the device is there; entering it gives the device.

    listener: see `Listener`. Raises RuntimeError where torch is too old for it (before 2.10).
    """

    def __init__(self, listener: Listener | None = None, doubles: bool = True):
        super().__init__()
        self.listener, self.doubles = listener, doubles

    def __enter__(self) -> torch.device:
        global _now
        _now = self
        _register()
        if not self.doubles:
            WITHOUT_DOUBLES.add(NAME)
        super().__enter__()
        return torch.device(NAME, 0)

    def __exit__(self, *error):
        global _now
        _now = None
        WITHOUT_DOUBLES.discard(NAME)
        return super().__exit__(*error)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """One operation."""
        return _run(func, args, kwargs or {})


def _run(func, args: tuple, kwargs: dict):
    """An operation on the device, away from it, onto it, or of the CPU alone."""
    there = kwargs.get("device")
    onto = there is not None and torch.device(there).type == NAME
    leaves = tree_leaves((args, kwargs))
    here = any(isinstance(leaf, OnDevice) for leaf in leaves)
    if not (onto or here):
        return func(*args, **kwargs)
    name = str(func)
    if here and "copy" not in name:
        for leaf in leaves:
            if isinstance(leaf, Tensor) and not isinstance(leaf, OnDevice) and leaf.ndim:
                raise RuntimeError(f"{name} mixes tensors on the device and on the CPU")
    if _now is not None and _now.listener is not None:
        _now.listener(name, args, kwargs)
    inner_args, inner = tree_map_only(OnDevice, lambda t: t.inner, (args, kwargs))
    if onto:
        inner["device"] = "cpu"
    if name == CONJUGATE:  # torch's view of it is not looked at below a mode
        return OnDevice(torch.conj_physical(*inner_args))
    found = (_attention if name == ATTENTION else func)(*inner_args, **inner)
    away = there is not None and not onto
    if away or (name.startswith("aten.copy_") and not isinstance(args[0], OnDevice)):
        if here and _refused(found):
            raise TypeError(f"this device writes no {found.dtype}; .cpu() first, then convert")
        return found
    found = tree_map_only(Tensor, lambda t: t if isinstance(t, OnDevice) else OnDevice(t), found)
    return return_and_correct_aliasing(func, args, kwargs, found)


def _refused(x: Tensor) -> bool:
    return x.dtype in DOUBLES and _now is not None and not _now.doubles


def _attention(q, k, v, bias=None, **options) -> Tensor:
    """Attention as the fused kernel of a GPU gives it, heads beside each other in memory."""
    joined = F.scaled_dot_product_attention(q, k, v, bias, **options)
    return joined.transpose(1, 2).contiguous().transpose(1, 2)


def _no_way(*args, **kwargs):
    raise NotImplementedError("attention on the stand-in device runs in an `Accelerator` alone")


class _Device:
    """Answers to what torch asks of a device: it is there inside an `Accelerator` alone.

    Torch knows a device for as long as the process lives, and `torch.random.fork_rng`, say, would
    else ask it for the state of its generator after all use of it.
    """

    def is_initialized(self) -> bool:
        return True

    def is_available(self) -> bool:
        return _now is not None

    def current_device(self) -> int:
        return 0

    def device_count(self) -> int:
        return int(self.is_available())

    def manual_seed_all(self, seed: int) -> None:
        """Nothing is drawn there."""

    def get_rng_state(self, device: int = 0) -> Tensor:
        return torch.empty(0, dtype=torch.uint8)

    def set_rng_state(self, state: Tensor, device: int = 0) -> None:
        """Nothing is drawn there."""

    def _is_in_bad_fork(self) -> bool:
        return False


def _register() -> None:
    """Tell torch of the device, once a process."""
    if _library:
        return
    if _setup is None:
        raise RuntimeError(
            f"a device written in Python needs torch 2.10, this is {torch.__version__}"
        )
    _setup(NAME, _Device())
    library = torch.library.Library("aten", "IMPL")
    # What torch.tensor(numbers, device=...) does, it does below every mode.
    library.impl("empty_strided", _empty_strided, "PrivateUse1")
    library.impl("_copy_from", _copy_from, "PrivateUse1")
    # With a kernel of its own it is not taken apart before we see it.
    library.impl("scaled_dot_product_attention", _no_way, "PrivateUse1")
    _library.append(library)
    with torch.enable_grad():
        torch.ones(1, requires_grad=True).sum().backward()  # autograd counts devices now


def _empty_strided(size, stride, dtype=None, layout=None, device=None, pin_memory=None):
    return OnDevice(torch.empty_strided(size, stride, dtype=dtype))


def _copy_from(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
    if _now is not None and _now.listener is not None:
        _now.listener("aten.copy_.default", (target, source), {"non_blocking": non_blocking})
    if _refused(target):
        raise TypeError(f"this device writes no {target.dtype}; .cpu() first, then convert")
    plain = [t.inner if isinstance(t, OnDevice) else t for t in (source, target)]
    plain[1].copy_(plain[0])
    return target
