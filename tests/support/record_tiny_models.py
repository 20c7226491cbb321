#!/usr/bin/env python3
"""Writes the tiny random models below tests/data/tiny and the logits that transformers computes for them in
fp32, one for each architecture and rope variant that the model runner knows. Needs torch and transformers
(5.x); the tests read what it wrote and need neither.

    record_tiny_models.py tests/data/tiny
"""
import json
import pathlib
import shutil
import sys

import torch
import transformers
from safetensors.torch import save_file

SIZES = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, vocab_size=64,
             max_position_embeddings=64, bos_token_id=1, eos_token_id=2)
GATED = dict(SIZES, intermediate_size=48, num_key_value_heads=2)
ROWS, LENGTH = 2, 24


def rope(kind, **more):
    return dict(rope_parameters=dict(rope_type=kind, rope_theta=10000.0, **more))


MODELS = {
    "llama": ("Llama", torch.float16, dict(GATED)),
    "llama3-tied-bias": ("Llama", torch.bfloat16, dict(
        GATED, tie_word_embeddings=True, attention_bias=True, mlp_bias=True,
        **rope("llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
               original_max_position_embeddings=16))),
    "llama-linear": ("Llama", torch.float32, dict(GATED, **rope("linear", factor=2.5))),
    "llama-yarn": ("Llama", torch.float16, dict(
        GATED, **rope("yarn", factor=4.0, original_max_position_embeddings=16))),
    "mistral-window": ("Mistral", torch.bfloat16, dict(GATED, head_dim=16, sliding_window=5)),
    "qwen2-window": ("Qwen2", torch.float16, dict(
        GATED, use_sliding_window=True, sliding_window=7, max_window_layers=1,
        tie_word_embeddings=True)),
    "qwen3": ("Qwen3", torch.bfloat16, dict(GATED, head_dim=16)),
    "opt": ("OPT", torch.float16, dict(SIZES, ffn_dim=48, word_embed_proj_dim=32)),
}


def randomize(model):
    """Weights large enough that every part of the model shows in the logits."""
    for name, parameter in model.named_parameters():
        scale = 1.5 * parameter.shape[-1] ** -0.5 if parameter.dim() == 2 else 0.3
        shift = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        parameter.data = torch.randn_like(parameter) * scale + shift


def old_spelling(config):
    """The keys that transformers 4 wrote."""
    parameters = config.pop("rope_parameters")
    config["rope_theta"] = parameters.pop("rope_theta")
    config["rope_scaling"] = dict(type=parameters.pop("rope_type"), **parameters)
    config["torch_dtype"] = config.pop("dtype")


def record(folder, name, family, dtype, settings):
    torch.manual_seed(sum(map(ord, name)))
    config = getattr(transformers, family + "Config")(**settings)
    model = getattr(transformers, family + "ForCausalLM")(config)
    randomize(model)
    shards = dict(max_shard_size="20KB") if name == "llama" else {}
    model.to(dtype).save_pretrained(folder / name, **shards)
    (folder / name / "generation_config.json").unlink()
    if name == "llama-linear":
        path = folder / name / "config.json"
        config = json.loads(path.read_text())
        old_spelling(config)
        path.write_text(json.dumps(config, indent=2) + "\n")
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder / name, dtype=torch.float32, attn_implementation="eager")
    ids = torch.randint(3, settings["vocab_size"], (ROWS, LENGTH))
    with torch.no_grad():
        logits = model(ids).logits
    save_file({"input_ids": ids.to(torch.int32), "logits": logits},
              folder / f"{name}.reference.safetensors")
    print(f"{name}: logits with standard deviation {logits.std():.3f}")


def main():
    folder = pathlib.Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, (family, dtype, settings) in MODELS.items():
        record(folder, name, family, dtype, settings)


if __name__ == "__main__":
    main()
