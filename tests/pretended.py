"""A pretended GPU: tells on a machine without one where a program mixes up devices.

PyTorch's own fake tensors hold no values, so that code that looks at values does not run with them.
Here everything is computed on the CPU, and each storage is noted to be on the GPU or not:

- `.to("cuda")`, `.cuda()` and `device="cuda"` copy to a noted storage, `.cpu()` back from it;
- `.device`, `.is_cuda` and `.get_device()` say what is noted, `.numpy()` of the GPU is refused;
- whatever PyTorch then computes, forward and backward, is refused where CUDA would refuse it.

What CUDA takes is taken here: numbers (tensors without dimensions) and indices of the CPU, and
copies into a tensor of either side.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import torch
from accelerate.state import AcceleratorState
from torch import Generator, Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.utils import clip_grad
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

GPU = torch.device("cuda", 0)

COPIES = {"aten::copy_", "aten::_foreach_copy_"}
"""Operations that cross devices."""
INDEXED = {
    "aten::index",
    "aten::_unsafe_index",
    "aten::index_put",
    "aten::index_put_",
    "aten::_index_put_impl_",
    "aten::_unsafe_index_put",
}
"""Operations whose second argument, indices, may be on the CPU where the first is on the GPU."""
WITHOUT_NUMBERS = {"aten::cat", "aten::stack"}
"""Operations that take no number of the CPU beside tensors of the GPU."""
PRODUCTS = {
    "aten::convolution",
    "aten::convolution_backward",
    "aten::mm",
    "aten::addmm",
    "aten::bmm",
}
"""What processors without bfloat16 imitate, at a sixteenth of the speed of float32."""
PURGE_EVERY = 4096


class DeviceMixError(RuntimeError):
    """Tensors of the CPU and of the pretended GPU met in an operation that CUDA refuses."""


class Notes:
    """Which storages are on the GPU.

    A storage is known by its address, and a weak reference keeps that from being used again.
    """

    def __init__(self) -> None:
        self._known: dict[int | None, StorageWeakRef] = {}
        self._next_purge = PURGE_EVERY
        self.waits = 0
        """Copies between the sides that the host waits for: back, or there from memory that may be
        paged out."""

    def __contains__(self, address: object) -> bool:
        return address in self._known

    def address(self, x: Tensor) -> int | None:
        """Return the address of a tensor's storage; None for tensors without values."""
        with torch._C.DisableTorchFunction():
            if x.device.type != "cpu" or x.layout != torch.strided:
                return None
            try:
                return int(x.untyped_storage()._cdata)
            except (NotImplementedError, RuntimeError):
                return None

    def has(self, x: Tensor) -> bool:
        """Tell whether a tensor is on the GPU."""
        return self.address(x) in self._known

    def set(self, x: Tensor, *, is_gpu: bool) -> None:
        """Note where a tensor is."""
        address = self.address(x)
        if not is_gpu:
            self._known.pop(address, None)
        elif address is not None and address not in self._known:
            with torch._C.DisableTorchFunction():
                self._known[address] = StorageWeakRef(x.untyped_storage())
        if len(self._known) > self._next_purge:
            self._known = {a: ref for a, ref in self._known.items() if not ref.expired()}
            self._next_purge = len(self._known) + PURGE_EVERY


class _Move(torch.autograd.Function):
    """Copy to the other side; the gradient is copied back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, notes: Notes, is_gpu: bool) -> Tensor:
        ctx.notes, ctx.was_gpu = notes, notes.has(x)
        return _copy(x, notes, is_gpu)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _copy(gradients[0], ctx.notes, ctx.was_gpu), None, None


def _copy(x: Tensor, notes: Notes, is_gpu: bool) -> Tensor:
    found = x.detach().clone(memory_format=torch.preserve_format)
    notes.set(found, is_gpu=is_gpu)
    return found


class _Operations(TorchDispatchMode):
    """Checks every operation that is computed, and notes where its results are."""

    def __init__(self, notes: Notes) -> None:
        super().__init__()
        self.notes = notes

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # Nothing is compiled here, and the compiler takes seconds to import.

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        leaves = _leaves((args, kwargs))
        given = [(leaf, self.notes.address(leaf)) for leaf in leaves if isinstance(leaf, Tensor)]
        name = func._schema.name
        places = [address in self.notes for _, address in given]
        if name in COPIES or not any(places):
            return func(*args, **kwargs)
        if any(isinstance(leaf, Generator) for leaf in leaves):
            raise DeviceMixError(f"{name}: a generator of the CPU draws into the GPU")
        if not all(places):
            for group in self._groups(name, args, kwargs):
                self._check(name, func, [x for x in _leaves(group) if isinstance(x, Tensor)])
        result = _computed(func, name, args, kwargs)
        old = {address for _, address in given}
        for x in _leaves(result):
            # What is written into, or looked at from another side, stays where it is.
            if isinstance(x, Tensor) and self.notes.address(x) not in old:
                self.notes.set(x, is_gpu=True)
        return result

    def _groups(self, name: str, args: tuple[Any, ...], kwargs: Any) -> Iterator[list[Any]]:
        """Yield what meets: all arguments, or those of one row of an operation on lists."""
        if name.startswith(("aten::_foreach", "aten::_fused")):
            lists = [a for a in args if isinstance(a, (list, tuple)) and a]
            lists = [a for a in lists if isinstance(a[0], Tensor)]
            single = [a for a in args if isinstance(a, Tensor)]
            for row in zip(*lists, strict=True):
                yield [*row, *single]
        elif name in INDEXED and self.notes.has(args[0]):
            indices = [i for i in args[1] if i is not None and self.notes.has(i)]
            yield [args[0], *indices, *args[2:]]
        else:
            yield [*args, *kwargs.values()]

    def _check(self, name: str, func: Any, given: list[Tensor]) -> None:
        places = [self.notes.has(x) for x in given]
        if all(places) or not any(places):
            return
        arguments = func._schema.arguments
        is_written = arguments and arguments[0].alias_info and arguments[0].alias_info.is_write
        takes_numbers = name not in WITHOUT_NUMBERS
        for row, (x, is_gpu) in enumerate(zip(given, places, strict=True)):
            is_number = takes_numbers and not x.ndim and not (is_written and row == 0)
            if not is_gpu and not is_number:
                sides = ", ".join(
                    f"{'cuda' if there else 'cpu'} {tuple(y.shape)}"
                    for y, there in zip(given, places, strict=True)
                )
                raise DeviceMixError(f"{name}: tensors of one device expected, got {sides}")


def _computed(func: Any, name: str, args: tuple[Any, ...], kwargs: Any) -> Any:
    """Compute; products in bfloat16 as sums in float32, as a GPU does, which is faster here too."""
    is_half = name in PRODUCTS and isinstance(args[0], Tensor) and args[0].dtype is torch.bfloat16
    if not is_half:
        return func(*args, **kwargs)

    def to(dtype: torch.dtype, x: Any) -> Any:
        return x.to(dtype) if isinstance(x, Tensor) else x

    with torch._C.DisableTorchFunction():
        result = func(*(to(torch.float32, x) for x in args), **kwargs)
        if isinstance(result, tuple):
            return tuple(to(torch.bfloat16, x) for x in result)
        return to(torch.bfloat16, result)


def _leaves(values: Any) -> list[Any]:
    """Return what nested lists, tuples and dictionaries hold."""
    if isinstance(values, dict):
        values = values.values()
    elif not isinstance(values, (list, tuple)):
        return [values]
    found: list[Any] = []
    for value in values:
        if isinstance(value, (list, tuple, dict)):
            found += _leaves(value)
        else:
            found.append(value)
    return found


class _Calls(TorchFunctionMode):
    """Answers for the GPU what Python code asks of it."""

    def __init__(self, notes: Notes) -> None:
        super().__init__()
        self.notes = notes
        tensor = torch.Tensor
        self._getters: dict[Any, Callable[[Tensor], Any]] = {
            tensor.device.__get__: lambda _: GPU,  # type: ignore[attr-defined]
            tensor.is_cuda.__get__: lambda _: True,  # type: ignore[attr-defined]
            tensor.is_cpu.__get__: lambda _: False,  # type: ignore[attr-defined]
            tensor.get_device: lambda _: 0,
            tensor.numpy: _refuse_numpy,
            tensor.__array__: _refuse_numpy,
        }
        self._moves = {tensor.to, tensor.cuda, tensor.cpu, tensor.type_as}
        # They make a storage without an operation.
        self._kept = {tensor.__deepcopy__, tensor.new_tensor}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        is_method = bool(args) and isinstance(args[0], Tensor)
        if func is torch.Tensor.pin_memory:
            return args[0].clone()
        if is_method and func in self._moves:
            return self._move(func, args, kwargs)
        if is_method and func in self._getters and self.notes.has(args[0]):
            return self._getters[func](args[0])
        device = kwargs.get("device")
        wanted = None if device is None else _is_gpu(device)
        if wanted:
            if isinstance(kwargs.get("generator"), Generator):
                raise DeviceMixError(f"{func}: a generator of the CPU draws on the GPU")
            kwargs["device"] = "cpu"
        result = func(*args, **kwargs)
        if func in self._kept and self.notes.has(args[0]):
            self.notes.waits += 1
            self.notes.set(result, is_gpu=True)
        if wanted is not None and isinstance(result, Tensor):
            if func in (torch.as_tensor, torch.asarray):
                return self._moved(result, wanted)
            self.notes.waits += wanted and func is torch.tensor
            self.notes.set(result, is_gpu=wanted)
        return result

    def _move(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        x = args[0]
        if func is torch.Tensor.cpu:
            return self._moved(x, False)
        if func is torch.Tensor.cuda:
            return self._moved(x, True)
        wanted = self.notes.has(x)
        rest: list[Any] = []
        for value in args[1:]:
            is_device = isinstance(value, (str, torch.device)) or type(value) is int
            if is_device:
                wanted = _is_gpu(value)
            elif isinstance(value, Tensor):
                wanted = self.notes.has(value)
            rest.append("cpu" if is_device and wanted else value)
        if kwargs.get("device") is not None:
            wanted = _is_gpu(kwargs["device"])
            kwargs["device"] = "cpu" if wanted else kwargs["device"]
        if isinstance(kwargs.get("other"), Tensor):
            wanted = self.notes.has(kwargs["other"])
        is_blocking = not kwargs.pop("non_blocking", False)
        return self._moved(func(x, *rest, **kwargs), wanted, is_blocking=is_blocking)

    def _moved(self, x: Tensor, wanted: bool, *, is_blocking: bool = True) -> Tensor:
        if self.notes.has(x) == wanted or self.notes.address(x) is None:
            return x
        self.notes.waits += is_blocking
        found: Tensor = _Move.apply(x, self.notes, wanted)  # type: ignore[no-untyped-call]
        return found


def _is_gpu(device: Any) -> bool:
    return isinstance(device, int) or torch.device(device).type == "cuda"


def _refuse_numpy(_: Tensor) -> Any:
    raise TypeError("can't convert cuda:0 device type tensor to numpy: use Tensor.cpu() first")


@contextlib.contextmanager
def pretended_gpu() -> Iterator[Notes]:
    """Let this process have one GPU for the duration of a block."""
    notes = Notes()
    group = clip_grad._group_tensors_by_device_and_dtype

    def grouped(lists: Any, *arguments: Any) -> Any:
        """Group as PyTorch does, which asks nobody where a tensor is."""
        found = group(lists, *arguments).items()
        return {(GPU if notes.has(v[0][0][0]) else k[0], k[1]): v for k, v in found}

    autocast = torch.amp.autocast_mode.autocast
    begin = autocast.__init__

    def autocast_on_cpu(self: Any, device_type: str, *args: Any, **kwargs: Any) -> None:
        begin(self, "cpu" if device_type == "cuda" else device_type, *args, **kwargs)

    answers: dict[str, Any] = {
        "is_available": True,
        "device_count": 1,
        "current_device": 0,
        "set_device": None,
        "synchronize": None,
        "empty_cache": None,
        "is_bf16_supported": True,
        "get_device_name": "pretended",
        "mem_get_info": (2**36, 2**36),
    }
    with contextlib.ExitStack() as stack:
        for name, answer in answers.items():
            stack.enter_context(patch.object(torch.cuda, name, lambda *_, a=answer, **__: a))
        stack.enter_context(patch.object(autocast, "__init__", autocast_on_cpu))
        stack.enter_context(patch.object(clip_grad, "_group_tensors_by_device_and_dtype", grouped))
        stack.callback(AcceleratorState._reset_state, reset_partial_state=True)
        AcceleratorState._reset_state(reset_partial_state=True)
        stack.enter_context(_Operations(notes))
        stack.enter_context(_Calls(notes))
        yield notes
