"""Loading GPTQ checkpoints as ordinary models of transformers."""

from __future__ import annotations

import os
from typing import Any, Optional, Union

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from gptqc._errors import InvalidArgumentError
from gptqc.transformers import quantizer  # noqa: F401  (registers)
from gptqc.transformers.config import METHOD, GptqcConfig


def load(model: Union[str, "os.PathLike[str]"], *, device_map: Any = None, max_memory: Optional[dict[Any, Any]] = None,
         dtype: Optional[torch.dtype] = None, fuse: bool = True, auto_class: Any = AutoModelForCausalLM,
         **kwargs: Any) -> Any:
    """The model of a GPTQ checkpoint (by AutoGPTQ, GPTQModel, optimum or gptqc; a folder, or a name on the Hub) as
    `auto_class` makes it, with its quantized layers on gptqc kernels.

    `device_map` and `max_memory` are those of from_pretrained; None: the CPU. `dtype`: what the rest of the model is
    kept in, and 16-bit types what the layers compute with; None: as the checkpoint says. `fuse`: q/k/v and gate/up
    run as one layer each. Everything else goes to from_pretrained. The Hub's files are fetched first, since the
    layers are read from them.
    """
    folder = _local_folder(os.fspath(model), kwargs)
    config = AutoConfig.from_pretrained(folder, trust_remote_code=kwargs.get("trust_remote_code"))
    facts = getattr(config, "quantization_config", None)
    if facts is None and os.path.exists(os.path.join(folder, "quantize_config.json")):
        facts = {}  # AutoGPTQ's own file; what it says is read with the layers
    if facts is None:
        raise InvalidArgumentError(f"{folder} is not quantized; from_pretrained with quantization_config="
                                   "GptqcConfig(...) quantizes it")
    facts = dict(facts if isinstance(facts, dict) else facts.to_dict())
    method = facts.get("quant_method", "gptq")
    if method != "gptq":
        raise InvalidArgumentError(f"{folder} is quantized by {method}; gptqc runs gptq")
    known = {name: facts[name] for name in _KEPT if name in facts}
    if known.get("bits") in (5, 6, 7):  # planar, whatever their configuration says
        known["checkpoint_format"] = "gptq_p"
    elif "format" in facts:  # a newer name of the same
        known.setdefault("checkpoint_format", facts["format"])
    config.quantization_config = {**known, "quant_method": METHOD, "fuse": fuse, "folder": folder}
    if max_memory is not None:
        kwargs["max_memory"] = max_memory
    return auto_class.from_pretrained(folder, config=config, device_map=device_map,
                                      dtype="auto" if dtype is None else dtype, **kwargs)


# What save_pretrained writes again.
_KEPT = ("bits", "group_size", "desc_act", "sym", "true_sequential", "damp_percent", "static_groups",
         "act_group_aware", "checkpoint_format", "dynamic", "modules_in_block_to_quantize", "meta")


def _local_folder(model: str, kwargs: dict[str, Any]) -> str:
    if os.path.isdir(model):
        return model
    from huggingface_hub import snapshot_download
    names = ("revision", "token", "cache_dir", "local_files_only")
    return snapshot_download(model, allow_patterns=["*.json", "*.safetensors", "*.model", "*.txt", "*.py", "*.jinja"],
                             **{name: kwargs[name] for name in names if name in kwargs})
