"""What the package knows about tensors of other libraries: how to make one like another, on which stream they
are worked on, and how they come to the host. Everything else is DLPack."""

from __future__ import annotations

from typing import Any

import numpy as np

from gptqc._errors import InvalidArgumentError


def library_of(tensor: Any) -> str:
    """Name of the top-level package that the tensor's type comes from, e.g. "torch"."""
    return type(tensor).__module__.partition(".")[0]


def empty(like: Any, shape: tuple[int, ...], dtype: str) -> Any:
    """An uninitialized tensor of the library and on the device of `like`. `dtype`: "float16" or "bfloat16", which
    numpy holds as uint16."""
    library = library_of(like)
    if library == "torch":
        import torch
        return like.new_empty(shape, dtype=getattr(torch, dtype))
    if library == "cupy":
        import cupy
        return cupy.empty(shape, dtype="uint16" if dtype == "bfloat16" else dtype)
    return np.empty(shape, dtype=np.uint16 if dtype == "bfloat16" else dtype)


def hand_back(result: Any, like: Any) -> Any:
    """A result of `empty` as a tensor of the library of `like`, where that cannot be written into (jax)."""
    if library_of(like) in ("jax", "jaxlib"):
        import jax
        return jax.numpy.asarray(result)
    return result


def current_stream(tensor: Any) -> int:
    """The CUDA stream that the tensor's library works on now; 0, the default stream, where it does not say."""
    library = library_of(tensor)
    if library == "torch":
        import torch
        return torch.cuda.current_stream(tensor.device).cuda_stream
    if library == "cupy":
        import cupy
        return cupy.cuda.get_current_stream().ptr
    return 0


def on_host(tensor: Any) -> Any:
    """The tensor, or a copy of it, in host memory, without gaps and without a gradient."""
    if tensor is None:
        return None
    library = library_of(tensor)
    if library == "torch":
        return tensor.detach().cpu().contiguous()
    if library == "cupy":
        return tensor.get()
    if hasattr(tensor, "__dlpack__") or hasattr(tensor, "__buffer__") or isinstance(tensor, np.ndarray):
        return np.ascontiguousarray(tensor) if isinstance(tensor, np.ndarray) else tensor
    return np.ascontiguousarray(tensor)


def matrix(tensor: Any, columns: int, name: str) -> Any:
    """The tensor as [rows, columns], a view where that is possible."""
    shape = getattr(tensor, "shape", None)
    if shape is None:
        raise InvalidArgumentError(f"{name} is {type(tensor).__name__}; pass a tensor of numpy, torch, cupy or jax")
    if len(shape) < 1 or shape[-1] != columns:
        raise InvalidArgumentError(f"{name} has shape {list(shape)}; the last dimension must be {columns}")
    return tensor if len(shape) == 2 else tensor.reshape((-1, columns))


def token_ids(tokens: Any, name: str) -> np.ndarray:
    """Rows of token ids as int32 [rows, length], from an array or nested lists."""
    if hasattr(tokens, "__dlpack__") or isinstance(tokens, np.ndarray):
        array = np.asarray(on_host(tokens))
    else:
        rows = list(tokens)
        nested = bool(rows) and not np.isscalar(rows[0])
        if nested and len({len(row) for row in rows}) > 1:
            raise InvalidArgumentError(f"{name}: rows of token ids must have one length; cut or join them")
        array = np.asarray(rows)
    if array.ndim == 1:
        array = array[None]
    if array.ndim != 2 or array.dtype.kind not in "iu" or array.size == 0:
        raise InvalidArgumentError(f"{name} is {array.dtype} {list(array.shape)}; "
                                   "it must be integers [rows, length]")
    return np.ascontiguousarray(array, dtype=np.int64)


def first_rows(rows: np.ndarray, count: int, length: int, name: str) -> np.ndarray:
    """The first rows, cut; 0 takes all. Raises where there are fewer."""
    if count > rows.shape[0] or length > rows.shape[1]:
        raise InvalidArgumentError(f"{name} has {rows.shape[0]} rows of {rows.shape[1]} tokens; "
                                   f"{count or 'all'} rows of {length or 'all'} were asked for")
    return np.ascontiguousarray(rows[:count or None, :length or None])
