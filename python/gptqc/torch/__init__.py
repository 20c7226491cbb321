"""gptqc layers as torch modules and as an operator (`torch.ops.gptqc.linear`), for the CPU and CUDA; works with
autograd with respect to the input, torch.compile(fullgraph=True) and CUDA graphs."""

from gptqc.torch.fusion import fuse, unfuse
from gptqc.torch.ops import PackedLayer, linear
from gptqc.torch.quant_linear import QuantLinear, prepare

__all__ = ["PackedLayer", "QuantLinear", "fuse", "linear", "prepare", "unfuse"]
