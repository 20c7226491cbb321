"""GPTQ checkpoints: folders in the form of Hugging Face, by whatever tool they were written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Iterator, Sequence, Union

from gptqc import _core
from gptqc.context import Context
from gptqc.linear import Linear


@dataclass(frozen=True)
class Layer:
    """A quantized layer of a checkpoint. The weight is [out_features, in_features]; `groups` rows of scales each
    serve `group_size` input features (-1: all of them)."""
    name: str
    descriptor: str
    bits: int
    group_size: int
    in_features: int
    out_features: int
    groups: int
    sym: bool
    act_order: bool
    bias: bool
    format: str
    has_g_idx: bool
    file_bytes: int
    bits_per_weight: float


@dataclass(frozen=True)
class Finding:
    """Something wrong or suspicious in a checkpoint, with its repair. `severity` is "warning", "error" (repaired
    in memory) or "fatal" (the layer cannot be read)."""
    severity: str
    check: str
    subject: str
    problem: str
    repair: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.subject}: {self.problem}; {self.repair} [{self.check}]"


class Checkpoint:
    """An opened folder. Weight files are mapped, not read; nothing changes while it is open. Thread-safe."""

    def __init__(self, native: Any) -> None:
        self._native = native
        self._layers = {facts["name"]: Layer(**facts) for facts in native.layers()}

    @property
    def folder(self) -> str:
        return self._native.folder

    @property
    def layers(self) -> list[Layer]:
        """The quantized layers, in the order of the model."""
        return list(self._layers.values())

    @property
    def descriptors(self) -> list[str]:
        """What there is to compile: each descriptor once, in the order of the model."""
        return list(dict.fromkeys(layer.descriptor for layer in self))

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self._layers.values())

    def __getitem__(self, name: str) -> Layer:
        return self._layers[name]

    def lint(self) -> list[Finding]:
        """Every inconsistency, unreadable layers too; empty for a sound checkpoint."""
        native = _core.Checkpoint.open(self.folder, examine=True)
        return [Finding(*fields) for fields in native.findings()]

    def part(self, name: str) -> Any:
        """The tensors of a layer, for Linear.from_parts; the words stay in the mapped file."""
        return self._native.part(name)

    def linear(self, names: Union[str, Sequence[str]], device: Union[str, int, Context] = "cpu",
               *, silu_mul: bool = False) -> Linear:
        """A layer that runs; of several names one fused layer, whose outputs follow each other (with `silu_mul`,
        of gate and up, silu(gate) * up)."""
        parts = [self.part(name) for name in ([names] if isinstance(names, str) else names)]
        return Linear.from_parts(parts, device, silu_mul=silu_mul)

    def __repr__(self) -> str:
        return f"<gptqc.Checkpoint {self.folder!r}: {len(self)} layers>"


def open(model: Union[str, "os.PathLike[str]"], *, examine: bool = False) -> Checkpoint:
    """Opens a GPTQ checkpoint and reads the facts of all its layers. Raises at the first layer that cannot be
    read; with `examine` such layers are left out, and lint() says why."""
    return Checkpoint(_core.Checkpoint.open(os.fspath(model), examine))
