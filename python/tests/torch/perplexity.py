#!/usr/bin/env python3
"""The bundled Llama through transformers: quantizes it in several configurations and compares its perplexity on all
rows of eval_ids with that of the original GPTQ implementation. Fails when one is more than 0.5 % worse."""
import math
import sys

import torch
import transformers

import gptqc
from gptqc.transformers import GptqcConfig
from torch_support import DEVICE, LLAMA, TOKENS

# bits, group size, sym, act-order: perplexity of the original implementation.
REFERENCES = {(4, 128, True, False): 10.737, (4, 128, False, False): 10.690, (4, 128, True, True): 10.737,
              (4, 32, True, False): 10.622, (3, 128, True, False): 12.249, (8, 128, True, False): 10.430}


def perplexity(model, rows, batch=16):
    """Each row by itself; sums in float32."""
    total = count = 0.0
    with torch.no_grad():
        for first in range(0, len(rows), batch):
            ids = rows[first:first + batch].to(model.device)
            logits = model(ids).logits[:, :-1].float()
            total += torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(),
                                                       reduction="sum").item()
            count += ids[:, 1:].numel()
    return math.exp(total / count)


def main():
    rows = torch.from_numpy(gptqc.load_tokens(TOKENS, "eval_ids")).long()
    limit = int(sys.argv[1]) if len(sys.argv) > 1 else len(rows)
    worst = 0.0
    for (bits, group_size, sym, desc_act), reference in REFERENCES.items():
        config = GptqcConfig(bits=bits, group_size=group_size, sym=sym, desc_act=desc_act, act_group_aware=False,
                             true_sequential=False, dataset=TOKENS, batch_size=16, progress=False)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            LLAMA, dtype=torch.float16 if DEVICE.type == "cuda" else torch.float32, device_map={"": DEVICE},
            quantization_config=config)
        value = perplexity(model, rows[:limit])
        worst = max(worst, value / reference - 1)
        print(f"w{bits} g{group_size} {'sym' if sym else 'asym'}{' desc_act' if desc_act else ''}: {value:.3f}, "
              f"reference {reference:.3f} ({100 * (value / reference - 1):+.2f} %)", flush=True)
    if limit == len(rows) and worst > 0.005:
        sys.exit(f"more than 0.5 % worse than the reference: {100 * worst:.2f} %")


if __name__ == "__main__":
    main()
