#!/usr/bin/env python3
"""A Llama with random weights, for timing whole-model quantization: a folder that `gptqc quantize` takes.

    synthetic_model.py -o DIR [--shape llama2-7b] [--layers N] [--rows 128] [--seqlen 2048]

Writes config.json, one safetensors file a block, and calibration.safetensors (random token ids [rows, seqlen]). Needs
torch and safetensors; on a machine with a GPU the 13 GB of a 7B model take half a minute.
"""
import argparse
import concurrent.futures
import json
import os

import torch
from safetensors.torch import save_file

SHAPES = {  # hidden, intermediate, layers, heads, key/value heads, vocabulary
    "llama2-7b": (4096, 11008, 32, 32, 32, 32000),
    "llama2-70b": (8192, 28672, 80, 64, 8, 32000),
    "tiny": (256, 704, 2, 4, 2, 512),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--shape", choices=SHAPES, default="llama2-7b")
    parser.add_argument("--layers", type=int, help="default: those of the shape")
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--seqlen", type=int, default=2048)
    arguments = parser.parse_args()
    hidden, intermediate, layers, heads, kv_heads, vocabulary = SHAPES[arguments.shape]
    layers = arguments.layers or layers
    os.makedirs(arguments.output, exist_ok=True)
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden,
              "intermediate_size": intermediate, "num_hidden_layers": layers, "num_attention_heads": heads,
              "num_key_value_heads": kv_heads, "vocab_size": vocabulary, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
              "max_position_embeddings": 4096, "hidden_act": "silu", "tie_word_embeddings": False,
              "torch_dtype": "float16", "bos_token_id": 1, "eos_token_id": 2}
    with open(os.path.join(arguments.output, "config.json"), "w", encoding="utf-8") as stream:
        json.dump(config, stream, indent=1)

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(1)
    index = {}

    def weight(rows, columns):
        return (torch.randn(rows, columns, device=device) * columns ** -0.5).half().cpu()

    def norm():
        return torch.ones(hidden, dtype=torch.float16)

    def write(file, tensors):
        save_file(tensors, os.path.join(arguments.output, file), metadata={"format": "pt"})

    files = [("model-ends.safetensors", {
        "model.embed_tokens.weight": weight(vocabulary, hidden), "model.norm.weight": norm(),
        "lm_head.weight": weight(vocabulary, hidden)})]
    head = hidden // heads
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        done = []
        for block in range(layers):
            prefix = f"model.layers.{block}."
            files.append((f"model-{block:03}.safetensors", {prefix + name: tensor for name, tensor in {
                "self_attn.q_proj.weight": weight(hidden, hidden),
                "self_attn.k_proj.weight": weight(kv_heads * head, hidden),
                "self_attn.v_proj.weight": weight(kv_heads * head, hidden),
                "self_attn.o_proj.weight": weight(hidden, hidden),
                "mlp.gate_proj.weight": weight(intermediate, hidden),
                "mlp.up_proj.weight": weight(intermediate, hidden),
                "mlp.down_proj.weight": weight(hidden, intermediate),
                "input_layernorm.weight": norm(), "post_attention_layernorm.weight": norm()}.items()}))
            for file, tensors in files:
                index.update({name: file for name in tensors})
                done.append(pool.submit(write, file, tensors))
            files = []
        for result in done:
            result.result()
    with open(os.path.join(arguments.output, "model.safetensors.index.json"), "w", encoding="utf-8") as stream:
        json.dump({"metadata": {}, "weight_map": index}, stream)
    tokens = torch.randint(0, vocabulary, (arguments.rows, arguments.seqlen), dtype=torch.int32)
    save_file({"input_ids": tokens}, os.path.join(arguments.output, "calibration.safetensors"))
    print(f"{arguments.output}: {sum(map(os.path.getsize, map(lambda f: os.path.join(arguments.output, f), os.listdir(arguments.output)))) / 1e9:.1f} GB")


if __name__ == "__main__":
    main()
