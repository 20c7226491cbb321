"""One quantized layer, ready to run on the CPU or a GPU, on tensors of any library."""

from __future__ import annotations

from typing import Any, Optional, Sequence, Union

from gptqc import _core, _tensors
from gptqc.context import Context, native_context

Device = Union[None, str, int, Context]


class Linear:
    """Y = X W^T + bias with W[n,k] = scales[g(k),n] * (code[k,n] - zero[g(k),n]).

    Made of the tensors of a GPTQ checkpoint, which are repacked and not needed afterwards:

    - `qweight` int32 [K*bits/32, N] on the host, or on the GPU that the layer runs on
    - `scales` float16 or bfloat16 [groups, N]
    - `qzeros` int32 [groups, N*bits/32]; None: symmetric, 2^(bits-1)
    - `g_idx` int32 [K]; None: k / group_size
    - `bias` [N] of the activation type; None: none

    `group_size` is in input features, -1 for one group. `zeros` says what qzeros holds: "minus_one" (z - 1, files
    of format gptq) or "stored" (gptq_v2 and gptq_p); `packing` is "planar" for format gptq_p, else "continuous".
    `act` is the type of X and of the bias, `out` that of Y ("float16" or "bfloat16"; by default as the scales).

    Thread-safe; runs on a GPU from several threads at once need streams of their own.
    """

    def __init__(self, qweight: Any, scales: Any, qzeros: Any = None, g_idx: Any = None, bias: Any = None, *,
                 bits: int = 4, group_size: int = 128, zeros: str = "minus_one", packing: str = "continuous",
                 act: Optional[str] = None, out: Optional[str] = None, device: Device = "cpu",
                 batch_invariant: bool = False) -> None:
        act = act or ("bfloat16" if "bfloat16" in str(scales.dtype) else "float16")
        part = make_part(qweight, scales, qzeros, g_idx, bias, bits=bits, group_size=group_size, zeros=zeros,
                         packing=packing, act=act, out=out or act)
        self._native = _create([part], device, False, batch_invariant)

    @classmethod
    def from_parts(cls, parts: Sequence[Any], device: Device = "cpu", *, silu_mul: bool = False,
                   batch_invariant: bool = False) -> "Linear":
        """One layer of several parts (Checkpoint.part), whose outputs follow each other. They must agree in bits,
        groups, types and g_idx."""
        linear = cls.__new__(cls)
        linear._native = _create(list(parts), device, silu_mul, batch_invariant)
        return linear

    @property
    def descriptor(self) -> str:
        """What runs, e.g. "w4 g128 sym f16->f16 n4096 k4096 m1.."."""
        return self._native.descriptor

    @property
    def in_features(self) -> int:
        return self._native.in_features

    @property
    def out_features(self) -> int:
        """Columns of Y."""
        return self._native.out_features

    @property
    def device(self) -> str:
        return "cpu" if self._native.device < 0 else f"cuda:{self._native.device}"

    @property
    def nbytes(self) -> int:
        """Memory of the packed weights."""
        return self._native.bytes

    def prepare(self, lo: int, hi: int) -> None:
        """Gets the kernels for lo..hi tokens ready, so that runs neither compile nor load (for CUDA graphs, and
        for contexts that do not compile in runs)."""
        self._native.prepare(lo, hi)

    def __call__(self, x: Any, out: Any = None, *, stream: Optional[int] = None, threads: int = 0) -> Any:
        """Y for x [..., K], on the device of the layer, in the activation type; the rows must be contiguous.
        `out` [..., N] is written and returned when given, else a tensor of the library of x is made. On a GPU the
        work goes to `stream` (a CUstream as an integer; None: the current stream of the library of x). numpy
        holds bfloat16 as its bits, in uint16. `threads` is for the CPU; 0: all."""
        rows = _tensors.matrix(x, self.in_features, "x")
        shape = tuple(x.shape[:-1]) + (self.out_features,)
        y = _tensors.empty(x, shape, self._native.out) if out is None else out
        if self._native.device < 0:
            order = threads
        else:
            order = _tensors.current_stream(x) if stream is None else stream
        self._native.call(rows, _tensors.matrix(y, self.out_features, "out"), order)
        return _tensors.hand_back(y, x) if out is None else y

    def __repr__(self) -> str:
        return f"<gptqc.Linear {self.descriptor!r} on {self.device}>"


def make_part(qweight: Any, scales: Any, qzeros: Any, g_idx: Any, bias: Any, *, bits: int, group_size: int,
              zeros: str, packing: str, act: str, out: str) -> Any:
    """The tensors as the extension module takes them: all but qweight on the host."""
    return _core.Part(bits, group_size, qweight, _tensors.on_host(scales), _tensors.on_host(qzeros),
                      _tensors.on_host(g_idx), _tensors.on_host(bias), packing, zeros, act, out)


def _create(parts: list[Any], device: Device, silu_mul: bool, batch_invariant: bool) -> Any:
    return _core.Layer.create(native_context(device), parts, silu_mul, batch_invariant, 0)
