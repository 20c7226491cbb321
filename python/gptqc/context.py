"""A GPU and where its kernels come from."""

from __future__ import annotations

import os
import threading
from typing import Any, Optional, Sequence, Union

from gptqc import _core, _nvrtc
from gptqc._errors import InvalidArgumentError

_defaults: dict[int, "Context"] = {}
_lock = threading.Lock()


class Context:
    """A GPU with its compiled kernels: from `packs` (files of gptqc.pack), from the kernel cache (`cache`: its
    folder; None: the default one; "": none), else compiled with NVRTC. Retains the primary context, which torch
    and others share. With `compile_in_run` off, a run whose kernel was not prepared raises. Thread-safe."""

    def __init__(self, device: int = 0, *, packs: Sequence[Union[str, "os.PathLike[str]"]] = (),
                 cache: Optional[str] = None, nvrtc: Optional[str] = None, compile_in_run: bool = True,
                 threads: int = 0, log_topics: str = "") -> None:
        self._native: Any = _core.Context.create(
            device, [os.fspath(pack) for pack in packs], cache,
            _nvrtc.library_folder() if nvrtc is None else nvrtc, compile_in_run, threads, log_topics)

    @property
    def device(self) -> int:
        """CUDA's number of the GPU."""
        return self._native.device

    @property
    def target(self) -> str:
        """E.g. "sm_90a h200 sms132"."""
        return self._native.target

    @property
    def name(self) -> str:
        return self._native.name

    @staticmethod
    def default(device: int = 0) -> "Context":
        """The context that is used where none is named; one for each GPU, made by the first call."""
        with _lock:
            if device not in _defaults:
                _defaults[device] = Context(device)
            return _defaults[device]

    def make_default(self) -> None:
        """Uses this context where none is named, e.g. one with packs."""
        with _lock:
            _defaults[self.device] = self

    def __repr__(self) -> str:
        return f"<gptqc.Context cuda:{self.device} {self.target!r}>"


def device_count() -> int:
    """GPUs that CUDA shows; DeviceError without a driver."""
    return _core.device_count()


def native_context(device: Union[None, str, int, Context]) -> Any:
    """None for the CPU, else the context of "cuda", "cuda:1", 1, a torch.device, or a Context."""
    if isinstance(device, Context):
        return device._native  # pylint: disable=protected-access
    text = str(device)
    if device is None or text == "cpu":
        return None
    kind, _, index = text.partition(":")
    if kind.isdigit():
        kind, index = "cuda", kind
    if kind != "cuda" or not (index or "0").isdigit():
        raise InvalidArgumentError(f"device {text!r}; use cpu, cuda or cuda:N")
    return Context.default(int(index or 0))._native  # pylint: disable=protected-access
