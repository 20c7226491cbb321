#!/usr/bin/env python3
"""Decode speed of a Llama-3-8B-shaped model with random weights: fp16 against W4 g128 on gptqc kernels, one token at a
time in a CUDA graph, and the share of time inside gptqc kernels.

    decode_bench.py [LAYERS]        fewer layers than 32 for a quick look
"""
import sys

import torch
import transformers
from torch import nn

from gptqc.torch import QuantLinear, fuse, prepare

CONTEXT = 512
STEPS = 64


def config(layers):
    return transformers.LlamaConfig(hidden_size=4096, intermediate_size=14336, num_hidden_layers=layers,
                                    num_attention_heads=32, num_key_value_heads=8, vocab_size=128256,
                                    max_position_embeddings=2048, rope_theta=500000.0)


def make(layers):
    with torch.device("cuda"):
        torch.set_default_dtype(torch.float16)
        model = transformers.AutoModelForCausalLM.from_config(config(layers), dtype=torch.float16).eval()
        torch.set_default_dtype(torch.float32)
    return model


def quantize(model):
    """Random codes: speed does not depend on them."""
    for name, linear in list(model.model.named_modules()):
        if not isinstance(linear, nn.Linear):
            continue
        module = QuantLinear(linear.in_features, linear.out_features, bits=4, group_size=128, device="cuda")
        module.qweight.random_(-2**31, 2**31 - 1)
        module.qzeros.fill_(0x77777777)
        module.scales.fill_(0.002)
        model.model.set_submodule(name, module)
        del linear
    torch.cuda.empty_cache()
    fuse(model)
    return prepare(model, [1])


class Decoder:
    """Greedy decoding with a static cache, every step the same launches: token in, next token in its place."""

    def __init__(self, model, prompt):
        self.model, device, length = model, prompt.device, prompt.shape[1]
        self.start = length
        self.cache = transformers.StaticCache(config=model.config, max_cache_len=length + STEPS + 8)
        self.columns = torch.arange(length + STEPS + 8, device=device)
        self.position = torch.full((1,), length, dtype=torch.long, device=device)
        self.masked = torch.full((1,), torch.finfo(model.dtype).min, dtype=model.dtype, device=device)
        with torch.no_grad():
            logits = model(prompt, past_key_values=self.cache, use_cache=True).logits
        self.token = logits[:, -1].argmax(-1, keepdim=True)

    @torch.no_grad()
    def step(self):
        mask = torch.where(self.columns <= self.position, torch.zeros_like(self.masked), self.masked)
        logits = self.model(self.token, past_key_values=self.cache, use_cache=True, position_ids=self.position[None],
                            attention_mask=mask[None, None, None]).logits
        self.token.copy_(logits[:, -1].argmax(-1, keepdim=True))
        self.position.add_(1)

    def reset(self):
        """Behind the prompt again; the cache counts its tokens on the device."""
        self.position.fill_(self.start)
        for layer in self.cache.layers:
            layer.cumulative_length.fill_(self.start)


def decode_graph(model):
    """A decoder and its step as a graph."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        decoder = Decoder(model, torch.ones(1, CONTEXT, dtype=torch.long, device="cuda"))
        for _ in range(2):
            decoder.step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        decoder.step()
    return graph, decoder


def measure(model):
    """Tokens a second, and the share of kernel time that is spent in gptqc kernels."""
    graph, decoder = decode_graph(model)
    times = []
    for _ in range(5):
        decoder.reset()
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(STEPS):
            graph.replay()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) / STEPS)
    decoder.reset()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        for _ in range(8):
            graph.replay()
        torch.cuda.synchronize()
    total = ours = 0.0
    for event in profile.key_averages():
        total += event.self_device_time_total
        ours += event.self_device_time_total if event.key.startswith("gptqc") else 0
    return 1000 / sorted(times)[len(times) // 2], ours / total if total else 0.0


def main():
    layers = int(sys.argv[1]) if len(sys.argv) > 1 else 32
    if not torch.cuda.is_available():
        sys.exit("decode_bench needs a GPU")
    model = make(layers)
    dense, _ = measure(model)
    quantized, share = measure(quantize(model))
    print(f"Llama-3-8B shape, {layers} layers, batch 1, context {CONTEXT}, {torch.cuda.get_device_name()}")
    print(f"{'':14} {'tokens/s':>9} {'ratio':>6} {'in gptqc kernels':>17}")
    print(f"{'fp16':14} {dense:9.1f} {1:6.2f} {'-':>17}")
    print(f"{'W4 g128 gptqc':14} {quantized:9.1f} {quantized / dense:6.2f} {100 * share:15.1f} %")


if __name__ == "__main__":
    main()
