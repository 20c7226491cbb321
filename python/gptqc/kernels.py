"""Compiling kernels ahead of time: stages of one, all of a model, packs. Needs NVRTC, but no GPU; tuning needs both."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

from gptqc import _core, _nvrtc, _progress
from gptqc._errors import UnsupportedError

Path = Union[str, "os.PathLike[str]"]

# One token count of each bucket that decoding and prefill use most.
USUAL_TOKENS = (1, 2, 4, 8, 16, 32, 64, 128, 512, 2048)


@dataclass(frozen=True)
class Kernel:
    """A compiled kernel. Shared memory and spills are in bytes a block and a thread; `seconds` is how long the
    compiler took, a hit of the cache almost nothing."""
    descriptor: str
    target: str
    schedule: str
    registers: int
    shared_bytes: int
    spill_bytes: int
    compiler: str
    seconds: float
    cubin: bytes

    def __repr__(self) -> str:
        return (f"Kernel({self.descriptor!r}, {self.target!r}, {self.schedule!r}, registers={self.registers}, "
                f"spill_bytes={self.spill_bytes}, {len(self.cubin)} bytes)")


@dataclass(frozen=True)
class PackSummary:
    """What a pack holds; `code_bytes` of compiled code."""
    path: str
    kernels: int
    code_bytes: int


@dataclass(frozen=True)
class TunedPoint:
    """The fastest schedule of a descriptor and M bucket, and the one that the untuned compiler takes; `gain` is the
    latter's time over the former's (0: not measured). `measured` schedules ran, `refused` ones could not."""
    descriptor: str
    schedule: str
    microseconds: float
    default_schedule: str
    gain: float
    measured: int
    refused: int


@dataclass(frozen=True)
class TuneSummary:
    """What a call of tune added to the records; `left` points remain because the budget was spent."""
    records: str
    points: list[TunedPoint]
    left: int


def emit(descriptor: str, target: str = "sm_90a", *, stage: str = "cuda", schedule: str = "",
         nvrtc: Optional[str] = None) -> str:
    """The text of one stage of a kernel: "gptq" and "tile" (MLIR), "cuda", "ptx" or "report" (the latter two need
    NVRTC). Without a schedule the cost model chooses."""
    _require_compiler()
    return _core.emit(descriptor, target, schedule, stage, _settings(nvrtc, None, None, 0))


def compile(layers: Union[Path, Sequence[str]], target: str = "sm_90a", *, tokens: Sequence[int] = USUAL_TOKENS,
            fused: bool = False, tuned: Optional[Path] = None, nvrtc: Optional[str] = None,
            cache: Optional[str] = None, threads: int = 0, progress: _progress.Progress = None) -> list[Kernel]:
    """Compiles the kernels of a checkpoint folder, or of descriptors, for GPUs ("sm_80,sm_90a") and the buckets of
    `tokens` into the kernel cache (`cache`: its folder; None: the default one; "": none). `fused`: of a folder
    also q/k/v and gate/up as one layer. `tuned`: a file of tuning records. Raises when one of them fails."""
    _require_compiler()
    model, descriptors = _source(layers)
    report = _progress.callback(progress, "compile")
    found = _core.compile(model, descriptors, fused, target, list(tokens),
                          _settings(nvrtc, cache, tuned, threads), report)
    return [Kernel(**facts) for facts in found]


def pack(layers: Union[Path, Sequence[str]], output: Path, target: str = "sm_90a", *, tokens: Sequence[int] = (),
         fused: bool = False, ptx: bool = True, tuned: Optional[Path] = None, nvrtc: Optional[str] = None,
         cache: Optional[str] = None, threads: int = 0, progress: _progress.Progress = None) -> PackSummary:
    """Compiles the same into one file, with which a Context needs no compiler. No `tokens`: all buckets. `ptx`:
    also code for GPUs newer than the targets."""
    _require_compiler()
    model, descriptors = _source(layers)
    report = _progress.callback(progress, "pack")
    kernels, size = _core.pack(model, descriptors, fused, target, list(tokens), ptx, os.fspath(output),
                               _settings(nvrtc, cache, tuned, threads), report)
    return PackSummary(os.fspath(output), kernels, size)


def tune(layers: Union[Path, Sequence[str]], records: Path, *, tokens: Sequence[int] = (), fused: bool = False,
         budget: float = 0, per_kernel: float = 2, candidates: int = 24, shard: tuple[int, int] = (0, 1),
         again: bool = False, nvrtc: Optional[str] = None, cache: Optional[str] = None, threads: int = 0,
         seed: int = 1, progress: _progress.Progress = None) -> TuneSummary:
    """Measures schedules for the kernels of a checkpoint folder, or of descriptors, on the first GPU, and appends what
    it finds to the file `records`, which compile() and pack() take as `tuned`; points in it are skipped, except with
    `again`. No `tokens`: all M buckets. `budget`: seconds after which no point is begun (0: none); `per_kernel`:
    seconds of measuring a point; `candidates`: schedules that are measured for one; `shard`: (i, n), every n-th
    point. Every point is on disk when `progress(done, total, descriptor)` hears of it, so a run that is interrupted
    loses nothing. Raises DeviceError without a GPU, and the first error of a point at the end."""
    _require_compiler()
    model, descriptors = _source(layers)
    settings = {
        **_settings(nvrtc, cache, None, threads), "model": model, "descriptors": descriptors, "fused": fused,
        "records": os.fspath(records), "tokens": list(tokens), "budget": budget, "per_kernel": per_kernel,
        "candidates": candidates, "shard": shard[0], "shards": shard[1], "again": again, "seed": seed,
    }
    points, left = _core.tune(settings, _progress.callback(progress, "tune"))
    return TuneSummary(os.fspath(records), [TunedPoint(**facts) for facts in points], left)


def _require_compiler() -> None:
    if not _core.has_compiler:
        raise UnsupportedError("this build of gptqc has no compiler; install one that was built with MLIR")


def _source(layers: Union[Path, Sequence[str]]) -> tuple[str, list[str]]:
    if isinstance(layers, (str, os.PathLike)):
        text = os.fspath(layers)
        return ("", [text]) if text.startswith("w") and " n" in text and " k" in text else (text, [])
    return "", list(layers)


def _settings(nvrtc: Optional[str], cache: Optional[str], tuned: Optional[Path], threads: int) -> dict[str, Any]:
    return {
        "nvrtc": _nvrtc.library_folder() if nvrtc is None else nvrtc, "cache": cache,
        "tuned": "" if tuned is None else os.fspath(tuned), "threads": threads,
    }
