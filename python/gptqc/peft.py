"""LoRA on quantized models: peft then takes gptqc.torch.QuantLinear as a base layer.

    from gptqc.peft import get_peft_model
    model = get_peft_model(model, peft.LoraConfig(...))
"""

from __future__ import annotations

import warnings
from typing import Any, Optional

import torch
from peft import LoraConfig
from peft.tuners.lora.gptq import GPTQLoraLinear

from gptqc._errors import UnsupportedError
from gptqc.torch import QuantLinear


class QuantLoraLinear(GPTQLoraLinear):
    """A QuantLinear with adapters beside it. The adapters cannot be merged into quantized weights: merge raises
    instead of doing nothing."""

    def merge(self, safe_merge: bool = False, adapter_names: Optional[list[str]] = None) -> None:
        raise UnsupportedError("adapters are not merged into quantized weights; save them beside the model, or merge "
                               "them into the dense model and quantize that")

    def unmerge(self) -> None:
        """Nothing was merged."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # peft has put the adapters beside qweight, which waits in host memory once its packed form is on the GPU.
        for name in self.active_adapters:
            for modules in (self.lora_A, self.lora_B):
                if name in modules and modules[name].weight.device != x.device:
                    modules[name].to(x.device)
        return super().forward(x)


def register(config: LoraConfig) -> LoraConfig:
    """Makes the configuration put adapters on QuantLinear; returns it. For every LoraConfig that is used with a
    quantized model, also when adapters are loaded: PeftModel.from_pretrained(model, folder, config=register(
    LoraConfig.from_pretrained(folder)))."""
    config._register_custom_module({QuantLinear: QuantLoraLinear})  # peft has no public name for it
    return config


def get_peft_model(model: Any, config: LoraConfig, **kwargs: Any) -> Any:
    """peft.get_peft_model after register."""
    import peft
    with warnings.catch_warnings():  # peft warns of every layer that it does not know by itself
        warnings.filterwarnings("ignore", message="Unsupported layer type.*QuantLinear")
        return peft.get_peft_model(model, register(config), **kwargs)
