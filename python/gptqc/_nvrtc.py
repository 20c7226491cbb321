"""Finds NVIDIA's runtime compiler among the Python packages, for interpreters that no environment variable
names."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def library_folder() -> str:
    """The folder of packages that holds `nvidia/*/lib/libnvrtc.so.*`; "" leaves the search to the library, which
    looks into GPTQC_NVRTC, CUDA_HOME, the loader's path and /usr/local/cuda."""
    if any(os.environ.get(name) for name in ("GPTQC_NVRTC", "CUDA_HOME", "CUDA_PATH")):
        return ""
    for entry in sys.path:
        if entry and any(Path(entry).glob("nvidia/*/lib/libnvrtc.so.1[2-9]")):
            return entry
    return ""
