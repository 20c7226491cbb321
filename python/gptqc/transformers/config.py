"""GptqcConfig: what transformers takes as quantization_config."""

from __future__ import annotations

from typing import Any, Optional, Sequence, Union

from transformers.quantizers.auto import register_quantization_config
from transformers.utils.quantization_config import QuantizationConfigMixin

import gptqc
from gptqc._errors import InvalidArgumentError

METHOD = "gptqc"
_FORMATS = ("gptq", "gptq_v2", "gptq_p")


@register_quantization_config(METHOD)
class GptqcConfig(QuantizationConfigMixin):
    """How a model is quantized, and how a quantized one is loaded.

    `bits` 2..8; `group_size` input features share a scale (-1: all); `sym`: without zero points; `desc_act`: columns
    that matter most first, and groups formed of them; `act_group_aware`: the same inside groups and of whole groups,
    at no cost when the model runs (off with desc_act); `damp_percent`: of the mean diagonal of the Hessian;
    `true_sequential`: layers of a block on what the quantized layers before them give; `mse`: search each grid.

    `dataset`: texts, rows of token ids, a .safetensors or .npy file of them, or "wikitext2", "c4" (with the package
    datasets). Texts go through `tokenizer`, by default that of the model; each is one row, cut to `model_seqlen`
    tokens; the first `samples` rows are used, `batch_size` at a time.

    `format`: of the file: "gptq", "gptq_v2" or "gptq_p"; None: the plainest that holds the model. `dynamic`: options
    by module name, as GPTQModel has them; "-:pattern" leaves modules as they are. `block_name_to_quantize`: e.g.
    "model.layers"; `modules_in_block_to_quantize`: names inside of a block, in the order of quantization, lists of
    them together.

    `device`: where blocks are quantized (None: where they are); `fuse`: run q/k/v and gate/up as one;
    `progress(done, total, name, solution)` sees every layer, True shows a bar.
    """

    def __init__(self, bits: int = 4, dataset: Any = None, tokenizer: Any = None, group_size: int = 128,
                 damp_percent: float = 0.01, desc_act: bool = False, sym: bool = True, act_group_aware: bool = True,
                 true_sequential: bool = True, static_groups: bool = False, mse: bool = False,
                 format: Optional[str] = None, dynamic: Optional[dict[str, Any]] = None,
                 block_name_to_quantize: Optional[str] = None,
                 modules_in_block_to_quantize: Optional[Sequence[Union[str, Sequence[str]]]] = None,
                 model_seqlen: int = 2048, samples: int = 128, batch_size: int = 1, device: Any = None,
                 fuse: bool = True, progress: Any = None, meta: Optional[dict[str, Any]] = None,
                 **kwargs: Any) -> None:
        self.quant_method = METHOD
        self.bits, self.group_size, self.sym = bits, group_size, sym
        self.desc_act, self.static_groups, self.mse = desc_act, static_groups, bool(mse)
        self.act_group_aware = act_group_aware and not desc_act and not static_groups
        self.damp_percent, self.true_sequential = damp_percent, true_sequential
        format = format or kwargs.get("checkpoint_format")
        self.format = format or ("gptq_p" if bits in (5, 6, 7) else "gptq" if sym else "gptq_v2")
        self.dataset, self.tokenizer = dataset, tokenizer
        self.model_seqlen, self.samples, self.batch_size = model_seqlen, samples, batch_size
        self.dynamic = dynamic
        self.block_name_to_quantize = block_name_to_quantize
        self.modules_in_block_to_quantize = modules_in_block_to_quantize
        self.device, self.fuse, self.progress, self.meta = device, fuse, progress, meta
        self.folder: Optional[str] = kwargs.get("folder")  # of the checkpoint that is being loaded
        self._check()

    def _check(self) -> None:
        def require(right: bool, text: str) -> None:
            if not right:
                raise InvalidArgumentError(f"GptqcConfig: {text}")

        require(isinstance(self.bits, int) and 2 <= self.bits <= 8, f"bits is {self.bits}; use 2 to 8")
        require(self.group_size == -1 or self.group_size > 0, f"group_size is {self.group_size}; use -1 or more than 0")
        require(0 < self.damp_percent < 1, f"damp_percent is {self.damp_percent}; use 0 < damp_percent < 1")
        require(self.format in _FORMATS, f"format is {self.format!r}; use one of {', '.join(_FORMATS)}")
        require(self.format != "gptq" or self.bits not in (5, 6, 7),
                f"format gptq has no {self.bits} bits that others read; use gptq_p")

    @property
    def packing(self) -> str:
        return "planar" if self.format == "gptq_p" else "continuous"

    @property
    def zeros(self) -> str:
        return "minus_one" if self.format == "gptq" else "stored"

    def solver_options(self) -> dict[str, Any]:
        """Keyword arguments of gptqc.solve."""
        return {
            "bits": self.bits, "group_size": self.group_size, "sym": self.sym, "act_order": self.desc_act,
            "static_groups": self.static_groups, "act_group_aware": self.act_group_aware, "mse": self.mse,
            "damp": self.damp_percent, "zero_from_one": self.format == "gptq" and not self.sym,
        }

    def to_dict(self) -> dict[str, Any]:
        """What config.json says: a checkpoint of method gptq, as transformers, GPTQModel and vLLM read it."""
        meta = dict(self.meta or {})
        meta.setdefault("quantizer", [f"gptqc:{gptqc.__version__}"])
        meta.setdefault("damp_percent", self.damp_percent)
        meta.setdefault("static_groups", self.static_groups)
        meta.setdefault("act_group_aware", self.act_group_aware)
        facts: dict[str, Any] = {
            "quant_method": "gptq", "bits": self.bits, "group_size": self.group_size, "desc_act": self.desc_act,
            "sym": self.sym, "lm_head": False, "true_sequential": self.true_sequential,
            "damp_percent": self.damp_percent, "checkpoint_format": self.format, "format": self.format,
            "pack_dtype": "int32", "meta": meta,
        }
        if self.dynamic:
            facts["dynamic"] = self.dynamic
        if self.modules_in_block_to_quantize:
            facts["modules_in_block_to_quantize"] = [[names] if isinstance(names, str) else list(names)
                                                     for names in self.modules_in_block_to_quantize]
        return facts

    def to_diff_dict(self) -> dict[str, Any]:
        return self.to_dict()
