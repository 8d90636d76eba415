"""Count what a program asks of a device: launches, casts, sorts, and waits for its answers.

Counted are operations of PyTorch that compute or copy, not views and not empty memory: on a GPU
about one launch each. On the CPU all tensors count; where a program has a GPU, only what it meets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

EMPTY = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "_unsafe_view"}
"""Operations that launch nothing."""
WAITS = {
    "_local_scalar_dense",
    "nonzero",
    "equal",
    "is_nonzero",
    "masked_select",
    "_unique2",
    "unique_dim",
    "_linalg_eigh",
    "_linalg_svd",
    "linalg_eig",
}
"""Operations whose result the host waits for: its value, or how large it is."""
SORTS = {"sort", "argsort", "topk"}
PADDING = ("replication_pad", "reflection_pad", "constant_pad")
KINDS = ("launches", "copies", "sorts", "padding", "waits")
"""What is told of a call; the last four are counted among the launches as well."""


class Counts(TorchDispatchMode):
    """Counts the operations inside this mode by name.

    Args:
        is_there: Tells whether a tensor is on the device whose work is counted; None: all are.

    Attributes:
        operations: How often each operation ran.
        waits: Those whose end the host waited for.
    """

    def __init__(self, is_there: Callable[[Tensor], bool] | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.is_there = is_there or (lambda _: True)
        self.operations: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # Nothing is compiled here, and the compiler takes seconds to import.

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one operation and count it."""
        result = func(*args, **(kwargs or {}))
        name = func._schema.name.removeprefix("aten::")
        tensors = [x for x in tree_leaves((args, kwargs, result)) if isinstance(x, Tensor)]
        if not _is_view(func) and name not in EMPTY and any(map(self.is_there, tensors)):
            self.operations[name] += 1
            if name in WAITS or _is_masked(name, args) or self._crosses(name, tensors):
                self.waits[name] += 1
        return result

    def _crosses(self, name: str, tensors: list[Tensor]) -> bool:
        return name in ("_to_copy", "copy_") and len(set(map(self.is_there, tensors))) > 1

    def summary(self) -> dict[str, int]:
        """Return the counts of `KINDS`."""
        found = self.operations
        return {
            "launches": found.total(),
            "copies": found["_to_copy"] + found["copy_"] + found["clone"],
            "sorts": sum(found[name] for name in SORTS),
            "padding": sum(n for name, n in found.items() if name.startswith(PADDING)),
            "waits": self.waits.total(),
        }


def _is_masked(name: str, args: Any) -> bool:
    """Tell whether an index is a mask, whose places are looked for first."""
    return name.startswith("index") and any(
        isinstance(x, Tensor) and x.dtype == torch.bool for x in tree_leaves(args[1:2])
    )


def _is_view(func: Any) -> bool:
    """Tell whether an operation only looks at its argument in another way."""
    aliases = [a.alias_info for a in func._schema.arguments if a.alias_info is not None]
    return bool(aliases) and not any(alias.is_write for alias in aliases)
