"""The operator gptqc::linear: a packed layer applied to a tensor.

Layers live outside of torch, so the operator names one by an integer, its handle; the number of its output features
is an argument too, so that shapes are known without the layer."""

from __future__ import annotations

import itertools
import weakref
from typing import Any, Sequence

import torch

from gptqc import _core
from gptqc._errors import DeviceError, InvalidArgumentError
from gptqc.context import native_context

_handles = itertools.count(1)
_layers: "weakref.WeakValueDictionary[int, PackedLayer]" = weakref.WeakValueDictionary()
_TYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}


def type_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


class PackedLayer:
    """One or several checkpoint layers (gptqc parts), packed for a device and known to the operator by `handle` as
    long as this object lives. Immutable."""

    def __init__(self, parts: Sequence[Any], device: torch.device) -> None:
        self.device = device
        context = native_context(device)
        try:
            self._native = _core.Layer.create(context, list(parts), False, False, _stream(device))
        except DeviceError:
            if device.type != "cuda":
                raise
            torch.cuda.empty_cache()  # torch may hold the memory that is missing
            self._native = _core.Layer.create(context, list(parts), False, False, _stream(device))
        self.descriptor: str = self._native.descriptor
        self.in_features: int = self._native.in_features
        self.out_features: int = self._native.out_features
        self.dtype = _TYPES[self._native.act]
        self.handle = next(_handles)
        _layers[self.handle] = self

    @property
    def nbytes(self) -> int:
        """Memory of the packed weights."""
        return self._native.bytes

    def prepare(self, lo: int, hi: int) -> None:
        """Gets the kernels for lo..hi tokens ready."""
        self._native.prepare(lo, hi)

    def run(self, x: torch.Tensor) -> torch.Tensor:
        """Y [..., N] for x [..., K]."""
        self.check(x)
        y = x.new_empty(*x.shape[:-1], self.out_features)
        rows = x.reshape(-1, self.in_features)
        if rows.shape[0] == 0:
            return y
        if rows.stride(1) != 1 or (rows.shape[0] > 1 and rows.stride(0) < self.in_features):
            rows = rows.contiguous()
        stride = rows.stride(0) if rows.shape[0] > 1 else self.in_features
        self._native.run(rows.data_ptr(), stride, rows.shape[0], y.data_ptr(), self.out_features,
                         _stream(x.device))
        return y

    def dequantize(self) -> torch.Tensor:
        """W [N, K] in the activation type, without the bias."""
        weight = torch.empty(self._native.weight_rows, self.in_features, dtype=self.dtype, device=self.device)
        self._native.dequantize(weight.data_ptr(), type_name(self.dtype), _stream(self.device))
        return weight

    def check(self, x: torch.Tensor) -> None:
        """InvalidArgumentError for an input that the layer does not take."""
        if x.device.type != self.device.type or (x.device.index or 0) != (self.device.index or 0):
            raise InvalidArgumentError(
                f"layer '{self.descriptor}': x is on {x.device}, the layer is on {self.device}; move one of them")
        if x.dtype != self.dtype:
            raise InvalidArgumentError(f"layer '{self.descriptor}': x is {type_name(x.dtype)}; it must be "
                                       f"{type_name(self.dtype)}")
        if x.dim() < 1 or x.shape[-1] != self.in_features:
            raise InvalidArgumentError(f"layer '{self.descriptor}': x has shape {list(x.shape)}; the last dimension "
                                       f"must be {self.in_features}")

    def __deepcopy__(self, memo: Any) -> "PackedLayer":
        return self

    def __repr__(self) -> str:
        return f"<gptqc PackedLayer {self.descriptor!r} on {self.device}>"


def _stream(device: torch.device) -> int:
    """The current CUDA stream; on the CPU the number of threads."""
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        return torch._C._cuda_getCurrentRawStream(index)  # pylint: disable=protected-access
    return torch.get_num_threads()


def _layer(handle: int) -> PackedLayer:
    layer = _layers.get(handle)
    if layer is None:
        raise InvalidArgumentError(f"gptqc::linear: the layer with handle {handle} is gone; keep its module alive")
    return layer


def _linear(x: torch.Tensor, layer: int, out_features: int) -> torch.Tensor:
    packed = _layer(layer)
    if out_features != packed.out_features:
        raise InvalidArgumentError(f"layer '{packed.descriptor}': out_features is {out_features}; "
                                   f"it must be {packed.out_features}")
    return packed.run(x)


def _input_gradient(grad: torch.Tensor, layer: int, in_features: int) -> torch.Tensor:
    """grad W: the weights are dequantized for the product and dropped."""
    weight = _layer(layer).dequantize()
    if grad.device.type == "cpu":  # its product in 16 bits is slow, and rounds at every step
        return (grad.float() @ weight.float()).to(grad.dtype)
    return grad @ weight


def _fake(x: torch.Tensor, layer: int, features: int) -> torch.Tensor:
    return x.new_empty(*x.shape[:-1], features)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    x, ctx.layer, _ = inputs
    ctx.in_features = x.shape[-1]


def _backward(ctx: Any, grad: torch.Tensor) -> tuple[Any, ...]:
    return torch.ops.gptqc.linear_input_gradient(grad, ctx.layer, ctx.in_features), None, None


_library = torch.library.Library("gptqc", "DEF")
_library.define("linear(Tensor x, int layer, SymInt out_features) -> Tensor")
_library.define("linear_input_gradient(Tensor grad, int layer, SymInt in_features) -> Tensor")
for _key in ("CPU", "CUDA"):
    _library.impl("linear", _linear, _key)
    _library.impl("linear_input_gradient", _input_gradient, _key)
torch.library.register_fake("gptqc::linear", _fake, lib=_library)
torch.library.register_fake("gptqc::linear_input_gradient", _fake, lib=_library)
torch.library.register_autograd("gptqc::linear", _backward, setup_context=_setup, lib=_library)


def linear(x: torch.Tensor, layer: PackedLayer) -> torch.Tensor:
    """Y = X W^T + bias: x [..., K] of the layer's type on its device, Y [..., N]. Differentiable with respect to
    x."""
    return torch.ops.gptqc.linear(x, layer.handle, layer.out_features)
