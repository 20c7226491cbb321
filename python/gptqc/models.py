"""Running whole models on the CPU: perplexity, text."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

import numpy as np

from gptqc import _core, _progress, _tensors
from gptqc._errors import UnsupportedError

Path = Union[str, "os.PathLike[str]"]


@dataclass(frozen=True)
class Evaluation:
    """`perplexity` is exp of the mean negative log-likelihood of `predictions` tokens."""
    perplexity: float
    predictions: int


def load_tokens(path: Path, name: str = "input_ids") -> np.ndarray:
    """Token ids int32 [rows, length] of a .npy file, or of a .safetensors file: the tensor `name`, else the only
    one that can be meant."""
    return _core.load_tokens(os.fspath(path), name)


def evaluate(model: Path, tokens: Any, *, rows: int = 0, seqlen: int = 0, threads: int = 0,
             progress: _progress.Progress = None) -> Evaluation:
    """Perplexity of a dense or quantized model folder on rows of token ids: an array [rows, length], lists, or a
    file of them (tensor eval_ids). Each row by itself; every token but the first is predicted from those before
    it. `rows` and `seqlen` take the first ones (0: all)."""
    if isinstance(tokens, (str, os.PathLike)):
        ids = load_tokens(tokens, "eval_ids")
    else:
        ids = _tensors.token_ids(tokens, "tokens")
    ids = _tensors.first_rows(ids, rows, seqlen, "tokens")
    report = _progress.callback(progress, "evaluate")
    return Evaluation(*_core.evaluate(os.fspath(model), ids, threads, report))


class Tokenizer:
    """Text to token ids and back, by the files of a model folder (byte-level BPE of tokenizer.json, or
    tokenizer.model where SentencePiece is installed). Thread-safe."""

    def __init__(self, model: Path) -> None:
        if not _core.has_tokenizer:
            raise UnsupportedError("this build of gptqc has no tokenizers (PCRE2 and utf8proc); pass token ids")
        self._native = _core.Tokenizer.open(os.fspath(model))

    def encode(self, text: str, *, document: bool = True) -> list[int]:
        """Ids of the text; of a `document` behind the tokens that open one (often none, or one)."""
        return self._native.encode(text, document)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; bytes that are no character become U+FFFD."""
        return self._native.decode([int(i) for i in ids]).decode("utf-8", "replace")


def generate(model: Path, prompt: Union[str, Sequence[int]], *, max_tokens: int = 128, temperature: float = 0.0,
             top_p: float = 1.0, seed: int = 0, stop_at_end: bool = True, threads: int = 0,
             on_token: Optional[Callable[[int], Any]] = None) -> Any:
    """Continues a text with a dense or quantized model folder, on the CPU. Returns what is new: text for a text,
    token ids for token ids. `temperature` 0 takes the most likely token each time. `on_token(id)` sees each new
    token at once; False from it ends the generation."""
    options = {"max_tokens": max_tokens, "temperature": temperature, "top_p": top_p, "seed": seed,
               "stop_at_end": stop_at_end}
    tokenizer = Tokenizer(model) if isinstance(prompt, str) else None
    ids = tokenizer.encode(prompt) if tokenizer else [int(i) for i in prompt]
    new = _core.generate(os.fspath(model), ids, options, threads, on_token)
    return tokenizer.decode(new) if tokenizer else new
