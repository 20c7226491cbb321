"""Quantizing whole models on disk."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

import numpy as np

from gptqc import _core, _progress, _tensors
from gptqc._errors import InvalidArgumentError
from gptqc.context import Context, native_context
from gptqc.models import Tokenizer, load_tokens

Path = Union[str, "os.PathLike[str]"]


@dataclass(frozen=True)
class QuantizeReport:
    """What quantize did. `short_groups`: layers whose last group is short, which many readers refuse; `resumed`:
    layers that an earlier run had finished; `complete`: all of them, nothing was done; `idle_rules`: patterns of `dynamic` that
    decided nothing."""
    output: str
    layers: int
    weights: int
    short_groups: int
    tensor_bytes: int
    resumed: int = 0
    tokens: int = 0
    complete: bool = False
    idle_rules: Sequence[str] = ()


def quantize(model: Path, output: Path, *, calibration: Any = None, bits: int = 4, group_size: int = 128,
             sym: bool = True, act_order: bool = False, method: str = "gptq", samples: int = 0, seqlen: int = 0,
             static_groups: bool = False, act_group_aware: bool = False, group_refresh: bool = False,
             mse: bool = False, damp: float = 0.01, true_sequential: bool = False, lm_head: bool = False,
             dynamic: Optional[dict[str, Any]] = None, format: Optional[str] = None,
             device: Union[str, int, Context] = "cpu", resume: bool = False, force: bool = False, threads: int = 0,
             progress: _progress.Progress = None) -> QuantizeReport:
    """Writes a quantized copy of a model folder (OPT, Llama, Mistral, Qwen), which appears at `output` when all is
    done. For other architectures use gptqc.transformers.

    `method`: "gptq" on `calibration`, or "rtn", round to nearest. Calibration is token ids [rows, length] as an
    array or lists, a .safetensors or .npy file of them, or a list of texts for the tokenizer of the model.
    `samples` and `seqlen` take the first rows and tokens (0: all; of texts 128, and 2048 or the model's context).
    `format`: "gptq", "gptq_v2" or "gptq_p"; by default the plainest that holds the model. `dynamic` overrides
    options by module name, as in quantization_config. `device`: where the model and the solver run.
    `resume` goes on where a run that was killed stopped. `progress(done, total, name, facts)` is called after each layer; an exception of
    it ends the run.
    """
    output_facts = {
        "model": os.fspath(model), "output": os.fspath(output), "format": format or "", "force": force,
        "threads": threads, "true_sequential": true_sequential, "lm_head": lm_head, "resume": resume,
        "dynamic": json.dumps(dynamic) if dynamic else "",
    }
    options = {
        "bits": bits, "group_size": group_size, "sym": sym, "act_order": act_order, "static_groups": static_groups,
        "act_group_aware": act_group_aware, "group_refresh": group_refresh, "mse": mse, "damp": damp,
    }
    report = _progress.callback(progress, "quantize")
    if method == "rtn":
        _refuse_for_rtn(calibration=calibration, static_groups=static_groups, act_group_aware=act_group_aware,
                        group_refresh=group_refresh, mse=mse, true_sequential=true_sequential, lm_head=lm_head,
                        dynamic=dynamic, resume=resume)
        facts = _core.round_to_nearest(output_facts, options, report)
    elif method == "gptq":
        rows = _calibration_rows(calibration, model, samples, seqlen)
        facts = _core.gptq(output_facts, options, rows, native_context(device), report)
    else:
        raise InvalidArgumentError(f"method {method!r}; use gptq or rtn")
    for pattern in facts.get("idle_rules", ()):
        warnings.warn(f"the rule {pattern!r} of dynamic decides nothing: it matches the start of no quantized module's "
                      "name, or other rules come first", stacklevel=2)
    return QuantizeReport(output=os.fspath(output), **facts)


def _refuse_for_rtn(**options: Any) -> None:
    for name, value in options.items():
        if value is not None and value is not False:
            raise InvalidArgumentError(f"{name} goes with method='gptq'")


def _calibration_rows(calibration: Any, model: Path, samples: int, seqlen: int) -> Any:
    if calibration is None:
        raise InvalidArgumentError("GPTQ needs calibration (texts, token ids [rows, length], or a file of them); "
                                   "to round to nearest without, pass method='rtn'")
    if isinstance(calibration, (str, os.PathLike)):
        rows = load_tokens(calibration, "input_ids")
    elif isinstance(calibration, Sequence) and calibration and isinstance(calibration[0], str):
        return _rows_of_texts(calibration, model, samples or 128, seqlen or _context_of(model))
    else:
        rows = _tensors.token_ids(calibration, "calibration")
    return _tensors.first_rows(rows, samples, seqlen, "calibration")


def _context_of(model: Path) -> int:
    """2048 tokens, or what the model was made for."""
    try:
        with open(os.path.join(model, "config.json"), encoding="utf-8") as file:
            return min(2048, int(json.load(file)["max_position_embeddings"]))
    except (OSError, ValueError, KeyError, TypeError):
        return 2048  # the model's own error comes later


def _rows_of_texts(texts: Sequence[str], model: Path, samples: int, seqlen: int) -> np.ndarray:
    """Documents one after the other, cut into rows; as many as there are, `samples` at most."""
    tokenizer = Tokenizer(model)
    ids: list[int] = []
    for text in texts:
        ids += tokenizer.encode(text)
        if len(ids) >= samples * seqlen:
            break
    rows = min(samples, len(ids) // seqlen)
    if rows == 0:
        raise InvalidArgumentError(f"calibration: the texts are {len(ids)} tokens, fewer than one row of {seqlen}; "
                                   "give more text, or pass seqlen")
    return np.array(ids[:rows * seqlen], dtype=np.int64).reshape(rows, seqlen)
