"""The results of readers: decord's own arrays ("native"), tensors of torch, or arrays of numpy, new here.

A bridge is chosen for a thread; others stay at "native", as they do in decord. The bridges to mxnet,
tensorflow and tvm are an `ImportError`: these libraries can take what readers return by their own
`from_dlpack`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from ..ndarray import NDArray
from .torchdl import from_torch, to_torch

__all__ = ["bridge_in", "bridge_out", "from_torch", "reset_bridge", "set_bridge", "to_torch"]
__all__ += ["use_mxnet", "use_numpy", "use_tensorflow", "use_torch", "use_tvm"]

# Each way out of an NDArray, and back into one.
_BRIDGES: dict[str, tuple[Callable[[NDArray], Any], Callable[[Any], NDArray]]] = {
    "native": (lambda array: array, lambda array: array),
    "torch": (to_torch, from_torch),
    "numpy": (NDArray.asnumpy, NDArray),
}
_MISSING = ("mxnet", "tensorflow", "tvm")


class _Current(threading.local):
    name = "native"


_current = _Current()


def set_bridge(new_bridge: str) -> None:
    """Choose what readers return in this thread: "native", "torch" or "numpy".

    Raises:
        AssertionError: There is no such bridge.
        ImportError: It is one to mxnet, tensorflow or tvm.
    """
    choices = [*_BRIDGES, *_MISSING]
    is_one = isinstance(new_bridge, str) and new_bridge in choices
    assert is_one, f"new_bridge={new_bridge!r} must be one of {', '.join(map(repr, choices))}"
    if new_bridge in _MISSING:
        raise ImportError(
            f"there is no bridge to {new_bridge} here; choose 'torch', 'numpy' or 'native', and give "
            f"{new_bridge}'s own from_dlpack what you get"
        )
    _current.name = new_bridge


def reset_bridge() -> None:
    """Return decord's own arrays again."""
    set_bridge("native")


def bridge_out(native_arr: NDArray) -> Any:
    """Return an array as the bridge of this thread has it."""
    return _BRIDGES[_current.name][0](native_arr)


def bridge_in(arr: Any) -> NDArray:
    """Return what the bridge of this thread has as decord's own array."""
    return _BRIDGES[_current.name][1](arr)


@contextmanager
def _using(name: str) -> Iterator[None]:
    before = _current.name
    set_bridge(name)
    try:
        yield
    finally:
        set_bridge(before)


def use_torch() -> AbstractContextManager[None]:
    """Return a context in which readers return tensors of torch."""
    return _using("torch")


def use_numpy() -> AbstractContextManager[None]:
    """Return a context in which readers return arrays of numpy."""
    return _using("numpy")


def use_mxnet() -> AbstractContextManager[None]:
    """Return a context that raises an ImportError."""
    return _using("mxnet")


def use_tensorflow() -> AbstractContextManager[None]:
    """Return a context that raises an ImportError."""
    return _using("tensorflow")


def use_tvm() -> AbstractContextManager[None]:
    """Return a context that raises an ImportError."""
    return _using("tvm")
