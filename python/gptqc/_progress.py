"""Progress of long calls: a callback of the caller's, or a bar of tqdm where that is installed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Optional, Union

# progress(done, total, name, ...): True asks for a bar.
Progress = Union[None, bool, Callable[..., Any]]


class _Bar:
    def __init__(self, label: str, tqdm: Any) -> None:
        self._label, self._tqdm, self._bar = label, tqdm, None

    def __call__(self, done: int, total: int, *_: Any) -> None:
        if self._bar is None:
            self._bar = self._tqdm(total=total, desc=self._label)
        self._bar.update(done - self._bar.n)
        if done == total:
            self._bar.close()


def callback(progress: Progress, label: str) -> Optional[Callable[..., Any]]:
    """What the extension module calls. `None` shows a bar on a terminal with tqdm, `True` wherever tqdm is,
    `False` nothing."""
    if callable(progress):
        return progress
    if progress is False or (progress is None and not sys.stderr.isatty()):
        return None
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    return _Bar(label, tqdm)
