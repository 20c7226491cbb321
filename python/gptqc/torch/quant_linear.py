"""QuantLinear: the module that stands where a quantized nn.Linear was."""

from __future__ import annotations

from typing import Any, Iterable, Optional

import torch
from torch import nn

from gptqc._errors import InvalidArgumentError
from gptqc.linear import make_part
from gptqc.torch.ops import PackedLayer, type_name

_SIXTEEN_BITS = (torch.float16, torch.bfloat16)


def _autocasts(x: torch.Tensor) -> bool:
    return x.device.type in ("cpu", "cuda") and torch.is_autocast_enabled(x.device.type)


class QuantLinear(nn.Module):
    """Y = X W^T + bias from the buffers of GPTQ checkpoints: `qweight` int32 [K*bits/32, N], `qzeros` int32
    [groups, N*bits/32], `scales` [groups, N], `g_idx` int32 [K], `bias` [N] or None.

    The first run, or prepare(), packs them for the device that `scales` is on; on a GPU `qweight` then goes to host
    memory, so that the weights are there once. state_dict() always has all buffers; moving the module or loading
    into it packs again. `act_dtype`, float16 or bfloat16, is what the layer computes with: x of float32 is rounded
    to it and Y comes back as float32. Without `has_g_idx` the groups are in order and g_idx is no part of the state.
    """

    # Instances may share a packed layer and run as one (gptqc.torch.fuse).
    fused: Optional[Any] = None
    part_index: int = 0

    def __init__(self, in_features: int, out_features: int, *, bits: int = 4, group_size: int = 128,
                 groups: Optional[int] = None, bias: bool = False, zeros: str = "minus_one",
                 packing: str = "continuous", act_dtype: torch.dtype = torch.float16,
                 scale_dtype: torch.dtype = torch.float16, has_g_idx: bool = True, device: Any = None) -> None:
        super().__init__()
        if act_dtype not in _SIXTEEN_BITS:
            raise InvalidArgumentError(f"act_dtype is {type_name(act_dtype)}; use float16 or bfloat16")
        self.in_features, self.out_features = in_features, out_features
        self.bits, self.group_size = bits, group_size
        self.zeros, self.packing = zeros, packing
        self.act_dtype = act_dtype
        length = in_features if group_size == -1 else group_size
        groups = groups or -(-in_features // length)

        def buffer(name: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
            self.register_buffer(name, torch.zeros(shape, dtype=dtype, device=device))

        buffer("qweight", (in_features * bits // 32, out_features), torch.int32)
        buffer("qzeros", (groups, out_features * bits // 32), torch.int32)
        buffer("scales", (groups, out_features), scale_dtype)
        self._length = length
        self.register_buffer("g_idx", self._sequence(device), persistent=has_g_idx)
        if bias:
            buffer("bias", (out_features,), act_dtype)
        else:
            self.register_buffer("bias", None)
        self._packed: Optional[PackedLayer] = None

    @classmethod
    def from_tensors(cls, tensors: dict[str, Any], *, bits: int, group_size: int, bias: Optional[torch.Tensor] = None,
                     zeros: str = "minus_one", packing: str = "continuous",
                     act_dtype: torch.dtype = torch.float16) -> "QuantLinear":
        """From qweight, qzeros, scales and g_idx, e.g. of gptqc.Solution.tensors()."""
        made = {name: torch.as_tensor(value) for name, value in tensors.items()}
        groups, out_features = made["scales"].shape
        module = cls(made["g_idx"].numel(), out_features, bits=bits, group_size=group_size, groups=groups,
                     bias=bias is not None, zeros=zeros, packing=packing, act_dtype=act_dtype,
                     scale_dtype=made["scales"].dtype, device="meta")
        for name, value in made.items():
            setattr(module, name, value)
        if bias is not None:
            module.bias = bias.detach().to(act_dtype)
        return module

    def _sequence(self, device: Any) -> torch.Tensor:
        return torch.arange(self.in_features, dtype=torch.int32, device=device) // self._length

    def restore_order(self) -> None:
        """g_idx of a layer whose checkpoint has none, after a loader has left it uninitialized."""
        if "g_idx" in self._non_persistent_buffers_set:
            self.g_idx = self._sequence(self.scales.device)

    @property
    def weight(self) -> torch.Tensor:
        """A stand-in of one element with the shape, type and device of the weight, for code that asks for these
        (PEFT puts adapters there); dequantize() has the values."""
        return self.scales.new_zeros(1, dtype=self.act_dtype).expand(self.out_features, self.in_features)

    @property
    def packed(self) -> PackedLayer:
        """The layer as it runs, packed now if it is not yet."""
        if self._packed is None:
            self.prepare()
        return self._packed  # type: ignore[return-value]

    @property
    def descriptor(self) -> str:
        """E.g. "w4 g128 sym f16->f16 n4096 k4096 m1..", of the fused layer where there is one."""
        return self.packed.descriptor if self.fused is None else self.fused.packed.descriptor

    def part(self) -> Any:
        """The buffers as gptqc takes them."""
        act = type_name(self.act_dtype)
        scales = self.scales if self.scales.dtype in _SIXTEEN_BITS else self.scales.to(torch.float16)
        bias = None if self.bias is None else self.bias.to(self.act_dtype)
        return make_part(self.qweight.contiguous(), scales, self.qzeros, self.g_idx, bias, bits=self.bits,
                         group_size=self.group_size, zeros=self.zeros, packing=self.packing, act=act, out=act)

    def prepare(self) -> "QuantLinear":
        """Packs the weights for the device that the module is on."""
        if self.fused is not None:
            self.fused.prepare()
        elif self._packed is None:
            self._packed = PackedLayer([self.part()], self.scales.device)
            self.release()
        return self

    def release(self) -> None:
        """Moves qweight to host memory: the packed form is on the GPU."""
        if self.qweight.device.type == "cuda":
            self.qweight = self.qweight.cpu()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        layer = self._packed if self.fused is None else self.fused.packed
        if layer is None:
            if torch.compiler.is_compiling():
                raise InvalidArgumentError("call gptqc.torch.prepare(model) before torch.compile")
            self.prepare()
            return self.forward(x)
        dtype, autocast = x.dtype, _autocasts(x)
        given = x.to(self.act_dtype) if dtype == torch.float32 or autocast else x
        if not torch.compiler.is_compiling():
            layer.check(given)
        if self.fused is None:
            y = torch.ops.gptqc.linear(given, layer.handle, layer.out_features)
        else:
            y = self.fused.part(x, given, self.part_index)
        return y.to(dtype) if dtype == torch.float32 and not autocast else y

    def dequantize(self) -> torch.Tensor:
        """W [N, K] in the activation type."""
        if self.fused is None:
            return self.packed.dequantize()
        return self.fused.dequantize(self.part_index)

    def _drop(self) -> None:
        self._packed = None
        if self.fused is not None:
            self.fused.drop()

    def _apply(self, fn: Any, recurse: bool = True) -> "QuantLinear":
        # .half(), .bfloat16() and .float() are for what computes in that type: scales keep theirs.
        scales, before = self.scales, self.scales.device
        super()._apply(fn, recurse)
        if self.scales.dtype != scales.dtype:
            if self.scales.dtype in _SIXTEEN_BITS:
                self.act_dtype = self.scales.dtype
            self.scales = scales.to(self.scales.device)
            self._drop()
        if self.bias is not None and self.bias.dtype != self.act_dtype:
            self.bias = self.bias.to(self.act_dtype)
        if self.scales.device != before:
            self._drop()
        elif self._packed is not None or (self.fused is not None and self.fused.packed is not None):
            self.release()
        return self

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._drop()
        super()._load_from_state_dict(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        state["_packed"] = None
        state.pop("fused", None)
        return state

    def extra_repr(self) -> str:
        return (f"in_features={self.in_features}, out_features={self.out_features}, bits={self.bits}, "
                f"group_size={self.group_size}, bias={self.bias is not None}")


def prepare(model: nn.Module, tokens: Optional[Iterable[int]] = None) -> nn.Module:
    """Packs all QuantLinear modules of a model for their devices; with `tokens` also gets their kernels for these
    token counts ready, as torch.compile and CUDA graphs need it. Returns the model."""
    counts = list(tokens or ())
    for module in model.modules():
        if isinstance(module, QuantLinear):
            module.prepare()
            layer = module.packed if module.fused is None else module.fused.packed
            for count in counts:
                layer.prepare(count, count)
    return model
