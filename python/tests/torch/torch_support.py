"""Layers and tiny models of the torch tests; they run on the GPU where there is one, else on the CPU."""
import os
import sys

import numpy as np
import torch
from torch import nn

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))

import gptqc  # noqa: E402
from gptqc.torch import QuantLinear  # noqa: E402
from support import DATA, LLAMA, OPT, TOKENS, FolderTest  # noqa: E402, F401

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def quant_linear(n, k, *, bias=False, bits=4, group_size=32, dtype=torch.float16, seed=0, device=None, **options):
    """A QuantLinear with random weights on DEVICE, and the weight that it stands for, float32 [N, K] there."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(n, k, generator=generator) * 0.05
    solution = gptqc.solve(weight, np.eye(k, dtype=np.float32), bits=bits, group_size=group_size, **options)
    planar = bits in (5, 6, 7)
    module = QuantLinear.from_tensors(
        solution.tensors("gptq_p" if planar else "gptq_v2"), bits=bits, group_size=group_size, zeros="stored",
        packing="planar" if planar else "continuous", act_dtype=dtype,
        bias=torch.randn(n, generator=generator) if bias else None)
    device = device or DEVICE
    return module.to(device), torch.from_numpy(solution.dequantize()).to(device)


def random_input(*shape, dtype=torch.float16, seed=1, device=None):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(device or DEVICE, dtype)


class Block(nn.Module):
    """The linear layers of a decoder block in its shapes, without its attention."""

    def __init__(self, hidden=64, inner=96, dtype=torch.float16):
        super().__init__()
        shapes = {"q_proj": (hidden, hidden), "k_proj": (hidden // 2, hidden), "v_proj": (hidden // 2, hidden),
                  "o_proj": (hidden, hidden), "gate_proj": (inner, hidden), "up_proj": (inner, hidden),
                  "down_proj": (hidden, inner)}
        for seed, (name, (n, k)) in enumerate(shapes.items()):
            setattr(self, name, quant_linear(n, k, dtype=dtype, seed=seed)[0])

    def forward(self, x):
        mixed = torch.cat([self.k_proj(x), self.v_proj(x)], -1)
        x = x + self.o_proj(torch.tanh(self.q_proj(x)) * mixed)
        return x + self.down_proj(nn.functional.silu(self.gate_proj(x)) * self.up_proj(x))
