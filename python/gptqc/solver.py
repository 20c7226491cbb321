"""GPTQ on one layer (Frantar et al. 2022, arXiv 2210.17323)."""

from __future__ import annotations

from typing import Any, Union

import numpy as np

from gptqc import _core, _tensors
from gptqc._errors import InvalidArgumentError
from gptqc.context import Context, native_context


class Hessian:
    """H = 2 / tokens * sum of x x^T over the inputs of a layer, summed in float32 on the CPU. One thread at a
    time."""

    def __init__(self, in_features: int, threads: int = 0) -> None:
        self.in_features = in_features
        self._sum = _core.HessianSum(in_features, threads)

    def add(self, x: Any) -> "Hessian":
        """Adds inputs [..., in_features] of float16, bfloat16 or float32; every row is a token."""
        self._sum.add(self.in_features, _tensors.matrix(_tensors.on_host(x), self.in_features, "x"))
        return self

    @property
    def tokens(self) -> int:
        return self._sum.tokens

    def matrix(self) -> np.ndarray:
        """H, float32 [in_features, in_features]; raises when there were no tokens, or one was not finite."""
        return self._sum.finish()


class Solution:
    """A quantized layer: W[n,k] ~ scales[g,n] * (codes[k,n] - zeros[g,n]) with g = g_idx[k]."""

    def __init__(self, native: Any) -> None:
        self._native = native

    @property
    def codes(self) -> np.ndarray:
        """uint8 [K, N], 0..2^bits-1."""
        return self._native.codes()

    @property
    def zeros(self) -> np.ndarray:
        """uint8 [groups, N]."""
        return self._native.zeros()

    @property
    def scales(self) -> np.ndarray:
        """float32 [groups, N]; values of float16 unless f32_scales was asked for."""
        return self._native.scales()

    @property
    def g_idx(self) -> np.ndarray:
        """int32 [K]: the group of each input feature."""
        return self._native.g_idx()

    @property
    def loss(self) -> float:
        """tr((W-Q) H (W-Q)^T) with the damped H."""
        return self._native.loss

    @property
    def error_before(self) -> float:
        """Relative error of the layer's output, rounded to nearest; from up to 64 rows."""
        return self._native.error_before

    @property
    def error_after(self) -> float:
        """The same of this solution."""
        return self._native.error_after

    @property
    def damp(self) -> float:
        """Damping as used, as a part of the mean diagonal of H."""
        return self._native.damp

    @property
    def recovery(self) -> str:
        """What it took to make H positive definite; "none" as a rule."""
        return self._native.recovery

    def dequantize(self) -> np.ndarray:
        """Q, float32 [N, K]."""
        return self._native.dequantize()

    def tensors(self, format: str = "gptq") -> dict[str, np.ndarray]:
        """qweight, qzeros, scales and g_idx as a checkpoint of format "gptq", "gptq_v2" or "gptq_p" holds
        them."""
        return self._native.tensors(format)


def solve(weight: Any, hessian: Any = None, *, inputs: Any = None, bits: int = 4, group_size: int = 128,
          sym: bool = True, act_order: bool = False, static_groups: bool = False, act_group_aware: bool = False,
          group_refresh: bool = False, mse: bool = False, zero_from_one: bool = False, f32_scales: bool = False,
          damp: float = 0.01, device: Union[str, int, Context] = "cpu", threads: int = 0) -> Solution:
    """Quantizes `weight` [N, K] (float16, bfloat16 or float32), given either its `hessian` (a Hessian, or an array
    [K, K] without damping) or `inputs` [..., K], one array or several.

    `group_size`: input features that share a scale, -1: all. `act_order`: columns that matter most first, and
    groups formed of them; `act_group_aware`: the same inside groups and of whole groups, free at run time.
    `zero_from_one`: asymmetric zero points from 1 up, which format gptq needs. Never gives NaN: an H that is not
    positive definite is damped, at worst reduced to its diagonal.
    """
    if (hessian is None) == (inputs is None):
        raise InvalidArgumentError("give either hessian or inputs")
    if inputs is not None:
        hessian = Hessian(weight.shape[-1], threads)
        for batch in inputs if isinstance(inputs, (list, tuple)) else [inputs]:
            hessian.add(batch)
    matrix = hessian.matrix() if isinstance(hessian, Hessian) else _tensors.on_host(hessian)
    options = {
        "bits": bits, "group_size": group_size, "sym": sym, "act_order": act_order, "static_groups": static_groups,
        "act_group_aware": act_group_aware, "group_refresh": group_refresh, "mse": mse,
        "zero_from_one": zero_from_one, "f32_scales": f32_scales, "damp": damp,
    }
    return Solution(_core.solve(_tensors.on_host(weight), matrix, options, native_context(device), threads))
