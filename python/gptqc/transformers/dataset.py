"""Rows of token ids from what a user has."""

from __future__ import annotations

import os
from typing import Any, Iterable, Sequence

import torch

from gptqc._errors import InvalidArgumentError, NotFoundError
from gptqc.models import load_tokens

# name -> arguments of datasets.load_dataset, and the column of the text
_NAMED = {
    "wikitext2": (("Salesforce/wikitext", "wikitext-2-raw-v1"), {"split": "train"}, "text"),
    "c4": (("allenai/c4",), {"data_files": {"train": "en/c4-train.00000-of-01024.json.gz"}, "split": "train"},
           "text"),
}
_NAMED["c4-new"] = _NAMED["c4"]


def rows_of(dataset: Any, tokenizer: Any, samples: int, length: int) -> list[torch.Tensor]:
    """Token ids [T] each, T <= length; at most `samples` of them. `tokenizer` is called for texts only: a function
    that gives a tokenizer of transformers."""
    if dataset is None:
        raise InvalidArgumentError("quantizing needs a dataset: GptqcConfig(dataset=[texts or rows of token ids])")
    if isinstance(dataset, str) and dataset in _NAMED:
        return _consecutive(_texts(dataset), tokenizer(), samples, length)
    if isinstance(dataset, (str, os.PathLike)):
        if not os.path.exists(dataset):
            raise NotFoundError(f"dataset {os.fspath(dataset)!r} is neither a file nor one of {', '.join(_NAMED)}")
        dataset = load_tokens(dataset, "input_ids")
    if not hasattr(dataset, "__getitem__") or len(dataset) == 0:
        raise InvalidArgumentError("dataset is empty; give texts or rows of token ids")
    rows = []
    encode = tokenizer() if isinstance(dataset[0], str) else None
    for item in dataset[:samples]:
        ids = encode(item)["input_ids"] if encode else item["input_ids"] if isinstance(item, dict) else item
        row = torch.as_tensor(ids, dtype=torch.long).reshape(-1)[:length]
        if row.numel() > 1:
            rows.append(row)
    if not rows:
        raise InvalidArgumentError("dataset holds no row of two tokens or more")
    return rows


def _texts(name: str) -> Iterable[str]:
    try:
        from datasets import load_dataset
    except ImportError:
        raise NotFoundError(f"dataset {name!r} needs the package datasets; install it, or pass texts") from None
    positional, named, column = _NAMED[name]
    return (item[column] for item in load_dataset(*positional, **named) if item[column].strip())


def _consecutive(texts: Iterable[str], tokenizer: Any, samples: int, length: int) -> list[torch.Tensor]:
    """Texts one after the other, cut into rows."""
    ids: list[int] = []
    for text in texts:
        ids += tokenizer(text)["input_ids"]
        if len(ids) >= samples * length:
            break
    return [torch.tensor(ids[i:i + length]) for i in range(0, len(ids) - length + 1, length)][:samples]


def batches_of(rows: Sequence[torch.Tensor], size: int) -> list[torch.Tensor]:
    """[B,T] each, of neighbours that have one length."""
    batches: list[list[torch.Tensor]] = []
    for row in rows:
        if batches and len(batches[-1]) < size and batches[-1][0].numel() == row.numel():
            batches[-1].append(row)
        else:
            batches.append([row])
    return [torch.stack(batch) for batch in batches]
