"""gptqc for Hugging Face transformers: `load` runs any GPTQ checkpoint on gptqc kernels as an ordinary model, and
`GptqcConfig` quantizes any causal language model in from_pretrained(..., quantization_config=GptqcConfig(...))."""

from gptqc.transformers.config import GptqcConfig
from gptqc.transformers.load import load
from gptqc.transformers.quantizer import GptqcQuantizer

__all__ = ["GptqcConfig", "GptqcQuantizer", "load"]
