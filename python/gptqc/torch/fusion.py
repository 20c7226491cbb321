"""Layers that read the same input run as one: q/k/v, gate/up."""

from __future__ import annotations

import weakref
from typing import Any, Optional, Sequence

import torch
from torch import nn

from gptqc._errors import Error
from gptqc.torch.ops import PackedLayer
from gptqc.torch.quant_linear import QuantLinear

# Names of siblings that architectures apply to one tensor, one after the other.
SIBLINGS = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))


class FusedLayer:
    """The packed layer of several modules, whose outputs lie side by side. The modules keep their buffers, so that
    state_dict, PEFT and everything else sees them as before.

    Outside of torch.compile the first module that sees a tensor runs all of them, and the others take their columns
    from its result; compiled, each part asks for the same product, which the compiler does once."""

    def __init__(self, modules: Sequence[QuantLinear]) -> None:
        self._modules = [weakref.ref(module) for module in modules]
        self._sizes = [module.out_features for module in modules]
        self.packed: Optional[PackedLayer] = None
        self._input: Optional["weakref.ref[torch.Tensor]"] = None
        self._key: Any = None
        self._parts: list[Optional[torch.Tensor]] = []

    def modules(self) -> list[QuantLinear]:
        return [module for module in (ref() for ref in self._modules) if module is not None]

    def prepare(self) -> None:
        if self.packed is not None:
            return
        modules = self.modules()
        self.packed = PackedLayer([module.part() for module in modules], modules[0].scales.device)
        for module in modules:
            module.release()

    def drop(self) -> None:
        self.packed, self._parts = None, []

    def part(self, x: torch.Tensor, given: torch.Tensor, index: int) -> torch.Tensor:
        """Columns of part `index`. `x` is what the module got, `given` the same in the layer's type."""
        layer = self.packed
        assert layer is not None
        if torch.compiler.is_compiling():
            return torch.ops.gptqc.linear(given, layer.handle, layer.out_features).split(self._sizes, -1)[index]
        key = (x._version, torch.is_grad_enabled(), torch.is_inference_mode_enabled()) \
            if not x.is_inference() else (None, torch.is_grad_enabled(), True)
        known = self._input is not None and self._input() is x and self._key == key
        if not known or not self._parts or self._parts[index] is None:
            y = torch.ops.gptqc.linear(given, layer.handle, layer.out_features)
            self._parts = list(y.split(self._sizes, -1))
            self._input, self._key = weakref.ref(x), key
        part, self._parts[index] = self._parts[index], None  # once each: nothing is kept that nobody waits for
        return part  # type: ignore[return-value]

    def dequantize(self, index: int) -> torch.Tensor:
        self.prepare()
        return self.packed.dequantize().split(self._sizes, 0)[index]  # type: ignore[union-attr]

    def __deepcopy__(self, memo: Any) -> None:
        return None  # a copy of the modules runs them one by one


def fuse(model: nn.Module, siblings: Sequence[Sequence[str]] = SIBLINGS) -> int:
    """Makes siblings of these names run as one where they can: same bits, groups, types, order and device. What
    cannot stays as it is. Returns how many groups were made."""
    made = 0
    for parent in model.modules():
        for names in siblings:
            children = [getattr(parent, name, None) for name in names]
            if not all(isinstance(child, QuantLinear) and child.fused is None for child in children):
                continue
            if len({(c.bits, c.group_size, c.packing, c.in_features, c.act_dtype, c.scales.device)
                    for c in children}) > 1:
                continue
            layer = FusedLayer(children)
            try:
                layer.prepare()
            except Error:  # other orders of columns, or a bias that only some have
                continue
            for index, child in enumerate(children):
                child._packed, child.fused, child.part_index = None, layer, index
            made += 1
    return made


def unfuse(model: nn.Module) -> nn.Module:
    """Each layer by itself again."""
    for module in model.modules():
        if isinstance(module, QuantLinear) and module.fused is not None:
            module.fused = None
    return model
