"""Memory of the tensors that a computation allocates, on any device."""

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class TensorMemory(TorchDispatchMode):
    """Context that adds up the storages of the tensors that exist at the same time.

    Only tensors that are made in the context count, so weights and inputs do not. What a kernel
    uses and frees inside one operation does not count either. In contrast to the memory of the
    process, the result does not depend on what the allocator keeps.

    Attributes
    ----------
    peak : largest sum so far, in bytes
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = self._now = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Run an operation and note the storages of its results."""
        given: Mapping[str, Any] = kwargs or {}
        before = {self._key(leaf) for leaf in tree_leaves((args, dict(given)))}
        result = func(*args, **given)
        for leaf in tree_leaves(result):
            key = self._key(leaf)
            if key is not None and key not in before | self._known:
                self._add(leaf.untyped_storage(), key)
        return result

    @staticmethod
    def _key(leaf: Any) -> int | None:
        """Identity of a tensor's storage; None for what has none, such as an opaque layout."""
        strided = isinstance(leaf, torch.Tensor) and leaf.layout is torch.strided
        return leaf.untyped_storage()._cdata if strided else None

    def _add(self, storage: torch.UntypedStorage, key: int) -> None:
        size = storage.nbytes()
        self._known.add(key)
        self._now += size
        self.peak = max(self.peak, self._now)
        weakref.finalize(storage, self._free, key, size)

    def _free(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._now -= size
