"""Blocks of models that are larger than the memory of their device: accelerate keeps them on the CPU or on disk,
and here they are brought to where they are worked on, one at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def bring_to(block: nn.Module, wanted: Any) -> tuple[torch.device, torch.device]:
    """Brings the weights of a block to `wanted` (None: where accelerate runs it, else where it is). Returns that
    device and the one that the block belongs on afterwards: host memory for a block that was offloaded, whose
    hooks are taken off."""
    hooks = {module: module._hf_hook for module in block.modules() if hasattr(module, "_hf_hook")}
    offloading = {module: hook for module, hook in hooks.items() if getattr(hook, "offload", False)}
    if not offloading:
        home = next(block.parameters()).device
        device = home if wanted is None else torch.device(wanted)
        block.to(device)
        return device, home
    from accelerate.hooks import remove_hook_from_module
    from accelerate.utils import set_module_tensor_to_device
    device = torch.device(next(iter(offloading.values())).execution_device if wanted is None else wanted)
    for module, hook in offloading.items():
        for name, _ in list(module.named_parameters(recurse=False)) + list(module.named_buffers(recurse=False)):
            if hook.weights_map is not None and name in hook.weights_map:
                set_module_tensor_to_device(module, name, device, value=hook.weights_map[name])
    remove_hook_from_module(block, recurse=True)
    block.to(device)
    return device, torch.device("cpu")
