"""gptqc: quantizes models with GPTQ, and runs GPTQ-quantized linear layers with kernels that are compiled for
exactly their shape. Needs numpy; tensors of any framework cross by DLPack. `gptqc.torch`, `gptqc.transformers`
and `gptqc.peft` are the bridges to those libraries, imported on demand."""

from gptqc import _core
from gptqc._errors import (CompileError, CorruptDataError, DeviceError, Error, InputOutputError, InternalError,
                           InvalidArgumentError, NotFoundError, UnsupportedError)
from gptqc.checkpoint import Checkpoint, Finding, Layer, open  # pylint: disable=redefined-builtin
from gptqc.context import Context, device_count
from gptqc.kernels import Kernel, PackSummary, TunedPoint, TuneSummary
from gptqc.kernels import compile, emit, pack, tune  # pylint: disable=redefined-builtin
from gptqc.linear import Linear
from gptqc.models import Evaluation, Tokenizer, evaluate, generate, load_tokens
from gptqc.quantization import QuantizeReport, quantize
from gptqc.solver import Hessian, Solution, solve

__version__: str = _core.__version__

__all__ = [
    "Checkpoint", "CompileError", "Context", "CorruptDataError", "DeviceError", "Error", "Evaluation", "Finding",
    "Hessian", "InputOutputError", "InternalError", "InvalidArgumentError", "Kernel", "Layer", "Linear",
    "NotFoundError", "PackSummary", "QuantizeReport", "Solution", "Tokenizer", "TuneSummary", "TunedPoint",
    "UnsupportedError", "compile",
    "device_count", "emit", "evaluate", "generate", "load_tokens", "open", "pack", "quantize", "solve", "tune",
]
