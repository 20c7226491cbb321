"""The quantizer that from_pretrained calls: puts QuantLinear where checkpoints have quantized layers, or quantizes
a dense model after it was loaded."""

from __future__ import annotations

import os
from typing import Any, Iterator

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D
from transformers.quantizers.auto import register_quantizer
from transformers.quantizers.base import HfQuantizer

import gptqc
from gptqc._errors import CorruptDataError, NotFoundError
from gptqc.torch import QuantLinear, fuse, prepare
from gptqc.transformers.calibrate import quantize_model
from gptqc.transformers.config import METHOD


@register_quantizer(METHOD)
class GptqcQuantizer(HfQuantizer):
    """See HfQuantizer. Needs neither optimum nor gptqmodel, and no GPU."""

    def update_device_map(self, device_map: Any) -> Any:
        return {"": "cpu"} if device_map is None and self.pre_quantized else device_map

    def _process_model_before_weight_loading(self, model: Any, **kwargs: Any) -> None:
        if not self.pre_quantized:
            return
        files = kwargs.get("checkpoint_files") or []
        folder = self.quantization_config.folder or (os.path.dirname(files[0]) if files else model.name_or_path)
        replace_linears(model, folder)

    def _process_model_after_weight_loading(self, model: Any, **kwargs: Any) -> None:
        config = self.quantization_config
        if self.pre_quantized:
            for module in model.modules():
                if isinstance(module, QuantLinear):
                    module.restore_order()
        else:
            quantize_model(model, config)
        if not _is_offloaded(model):
            if config.fuse:
                fuse(model)
            prepare(model)

    def is_serializable(self, *_: Any, **__: Any) -> bool:
        return True

    @property
    def is_trainable(self) -> bool:
        return True

    @property
    def is_compileable(self) -> bool:
        return True


def _is_offloaded(model: nn.Module) -> bool:
    return any(buffer.device.type == "meta" for module in model.modules() if isinstance(module, QuantLinear)
               for buffer in module.buffers())


def activation_type(model: nn.Module) -> torch.dtype:
    """What the layers compute with: the type of the model where that has 16 bits."""
    dtype = getattr(model, "dtype", None)
    return dtype if dtype in (torch.float16, torch.bfloat16) else torch.float16


def replace_linears(model: nn.Module, folder: str) -> None:
    """A QuantLinear without memory for every layer that is quantized in the checkpoint, with exactly its facts,
    whatever the configuration file claims."""
    checkpoint = gptqc.open(folder)
    act_dtype = activation_type(model)
    for layer in checkpoint:
        try:
            linear = model.get_submodule(layer.name)
        except AttributeError:
            raise NotFoundError(f"{folder}: the model has no module '{layer.name}', which is quantized") from None
        is_conv = isinstance(linear, Conv1D)
        if not is_conv and not isinstance(linear, nn.Linear):
            raise CorruptDataError(f"{folder}: module '{layer.name}' is {type(linear).__name__}, no linear layer")
        shape = tuple(linear.weight.shape) if is_conv else tuple(reversed(linear.weight.shape))
        if shape != (layer.in_features, layer.out_features):
            raise CorruptDataError(f"{folder}: '{layer.name}' is {layer.in_features} x {layer.out_features}, the "
                                   f"model needs {shape[0]} x {shape[1]}")
        part = checkpoint.part(layer.name)
        module = QuantLinear(layer.in_features, layer.out_features, bits=layer.bits, group_size=layer.group_size,
                             groups=layer.groups, bias=linear.bias is not None, zeros=part.zeros,
                             packing=part.packing, act_dtype=act_dtype,
                             scale_dtype=torch.bfloat16 if "scales:bf16" in layer.descriptor else torch.float16,
                             has_g_idx=layer.has_g_idx, device="meta")
        model.set_submodule(layer.name, module)
        for parent in _parents(model, layer.name):
            parent._is_hf_initialized = True  # some would initialize the weight of their layer


def _parents(model: nn.Module, name: str) -> Iterator[nn.Module]:
    """The modules around a layer, the model itself left out."""
    path = name.split(".")
    for depth in range(1, len(path)):
        yield model.get_submodule(".".join(path[:depth]))
