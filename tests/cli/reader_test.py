#!/usr/bin/env python3
"""Reads quantized folders of every kind as the format says, with nothing but the standard library and no code of
gptqc, writes what they mean as a dense model, and has both evaluated: the perplexities must agree in every digit.

    reader_test.py GPTQC
"""
import json
import math
import os
import random
import struct
import subprocess
import sys
import tempfile

HIDDEN, INTERMEDIATE, VOCABULARY, BLOCKS, GROUP = 32, 64, 64, 2, 16
PLANES = {2: [2], 3: [2, 1], 4: [4], 5: [4, 1], 6: [4, 2], 7: [4, 2, 1], 8: [8]}
FORMATS = {"gptq": (2, 3, 4, 8), "gptq_v2": (2, 3, 4, 8), "gptq_p": (2, 3, 4, 5, 6, 7, 8)}
MODULES = [f"model.layers.{block}.{name}" for block in range(BLOCKS) for name in (
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj",
    "mlp.down_proj")]
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN, "num_attention_heads": 2,
    "num_key_value_heads": 2, "num_hidden_layers": BLOCKS, "intermediate_size": INTERMEDIATE, "hidden_act": "silu",
    "vocab_size": VOCABULARY, "max_position_embeddings": 128, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
    "tie_word_embeddings": False, "torch_dtype": "float16", "bos_token_id": 1, "eos_token_id": 2}


# --- files ---------------------------------------------------------------------------------------------

def write_safetensors(path, tensors):
    """tensors: name -> (shape, list of floats); written as F32."""
    header, parts, at = {}, [], 0
    for name, (shape, values) in tensors.items():
        assert math.prod(shape) == len(values), name
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + 4 * len(values)]}
        parts.append(struct.pack(f"<{len(values)}f", *values))
        at += 4 * len(values)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text + b"".join(parts))


def read_safetensors(path):
    """name -> (dtype, shape, tuple of numbers)."""
    with open(path, "rb") as stream:
        data = stream.read()
    size, = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + size])
    metadata = header.pop("__metadata__", {})
    assert metadata.get("format") == "pt", "transformers reads files of format pt alone"
    tensors = {}
    for name, info in header.items():
        begin, end = (8 + size + offset for offset in info["data_offsets"])
        letter = {"F16": "e", "F32": "f", "I32": "i"}[info["dtype"]]
        values = struct.unpack(f"<{(end - begin) // struct.calcsize(letter)}{letter}", data[begin:end])
        assert len(values) == math.prod(info["shape"]), name
        tensors[name] = (info["dtype"], info["shape"], values)
    return tensors


def write_npy(path, rows):
    text = f"{{'descr': '<i4', 'fortran_order': False, 'shape': ({len(rows)}, {len(rows[0])}), }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    with open(path, "wb") as stream:
        stream.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode())
        for row in rows:
            stream.write(struct.pack(f"<{len(row)}i", *row))


def write_model(folder, tensors, config):
    os.makedirs(folder, exist_ok=True)
    write_safetensors(os.path.join(folder, "model.safetensors"), tensors)
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as stream:
        json.dump(config, stream)


def shape_of(module):
    if module.endswith(("gate_proj", "up_proj")):
        return [INTERMEDIATE, HIDDEN]
    return [HIDDEN, INTERMEDIATE] if module.endswith("down_proj") else [HIDDEN, HIDDEN]


def random_model(rng):
    def normal(shape, deviation):
        return shape, [rng.gauss(0, deviation) for _ in range(math.prod(shape))]
    tensors = {"model.embed_tokens.weight": normal([VOCABULARY, HIDDEN], 1), "model.norm.weight": ([HIDDEN], [1.0] * HIDDEN),
               "lm_head.weight": normal([VOCABULARY, HIDDEN], 0.3)}
    for block in range(BLOCKS):
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"model.layers.{block}.{norm}.weight"] = ([HIDDEN], [1.0] * HIDDEN)
    for module in MODULES:
        tensors[module + ".weight"] = normal(shape_of(module), 0.2)
    return tensors


# --- the format ----------------------------------------------------------------------------------------

def unpack(words, bits, count, planar):
    """`count` codes of a line of words: one stream of bits, or 32 codes a time in planes, the widest first."""
    if not planar:
        stream = sum((word & 0xffffffff) << 32 * i for i, word in enumerate(words))
        return [stream >> bits * i & (1 << bits) - 1 for i in range(count)]
    codes = []
    for base in range(0, len(words), bits):
        block, word, offset = [0] * 32, base, 0
        for width in PLANES[bits]:
            for i in range(32):
                plane = words[word + i * width // 32] >> i * width % 32 & (1 << width) - 1
                block[i] |= plane << offset
            word, offset = word + width, offset + width
        codes += block
    assert len(codes) == count
    return codes


def dequantize(tensors, module, config):
    """The weight [N,K], row by row."""
    bits, planar = config["bits"], config["checkpoint_format"] == "gptq_p"
    n, k = shape_of(module)
    group_size = config["group_size"] if config["group_size"] > 0 else k
    groups = -(-k // group_size)
    parts = {name: tensors[f"{module}.{name}"] for name in ("qweight", "qzeros", "scales", "g_idx")}
    expected = {"qweight": ("I32", [k * bits // 32, n]), "qzeros": ("I32", [groups, n * bits // 32]),
                "scales": ("F16", [groups, n]), "g_idx": ("I32", [k])}
    for name, (dtype, shape) in expected.items():
        assert parts[name][:2] == (dtype, shape), f"{module}.{name}: {parts[name][:2]}, expected {dtype} {shape}"
    g_idx = parts["g_idx"][2]
    assert sorted(g_idx) == [i // group_size for i in range(k)], f"{module}: each group has its columns"
    if not config["desc_act"]:
        assert list(g_idx) == sorted(g_idx), f"{module}: groups in order"
    words = parts["qweight"][2]
    codes = [unpack(words[row::n], bits, k, planar) for row in range(n)]
    stored = parts["qzeros"][2]
    width = n * bits // 32
    zeros = [unpack(stored[group * width:(group + 1) * width], bits, n, planar) for group in range(groups)]
    if config["checkpoint_format"] == "gptq":
        zeros = [[zero + 1 for zero in line] for line in zeros]
        assert max(map(max, zeros)) < 1 << bits, f"{module}: a zero point that v1 cannot hold"
    if config["sym"]:
        assert {zero for line in zeros for zero in line} == {1 << bits - 1}, f"{module}: symmetric zero points"
    scales = parts["scales"][2]
    return [scales[g_idx[i] * n + row] * (codes[row][i] - zeros[g_idx[i]][row]) for row in range(n) for i in range(k)]


def check_config(config, wanted):
    """What transformers, GPTQModel and vLLM ask for."""
    for key, value in wanted.items():
        assert config.get(key) == value and isinstance(config[key], type(value)), f"{key}: {config.get(key)}"
    assert config["quant_method"] == "gptq"
    assert config["pack_dtype"] == "int32"
    assert 0 < config["damp_percent"] < 1
    for key in ("true_sequential", "static_groups", "lm_head"):
        assert config[key] is False, key
    writer = config["meta"]["quantizer"]
    assert isinstance(writer, list) and writer[0].startswith("gptqc:"), writer


# --- the test ------------------------------------------------------------------------------------------

def run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}\n{done.stderr.strip()}")
    return done.stdout


def perplexity(gptqc, folder, tokens):
    return json.loads(run([gptqc, "eval", folder, "--tokens", tokens, "--json", "--threads", "1"]))["perplexity"]


def check_folder(gptqc, work, tokens, case):
    bits, form, sym, act, group = case
    folder, dense = os.path.join(work, "quantized"), os.path.join(work, "dense")
    options = ["--bits", str(bits), "--format", form, "--group-size", str(group)]
    options += ["--asym"] * (not sym) + ["--act-order"] * act
    run([gptqc, "quantize", os.path.join(work, "model"), "--calibration", tokens, "--threads", "1", "--force", "-o",
         folder, *options])
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as stream:
        config = json.load(stream)
    quantization = config.pop("quantization_config")
    with open(os.path.join(folder, "quantize_config.json"), encoding="utf-8") as stream:
        assert json.load(stream) == quantization, "both configurations say the same"
    check_config(quantization, {"bits": bits, "group_size": group, "sym": sym, "desc_act": act and group > 0,
                                "checkpoint_format": form})
    assert config == CONFIG, "the rest of config.json is the model's"
    tensors = read_safetensors(os.path.join(folder, "model.safetensors"))
    plain = {}
    for name, (_, shape, values) in tensors.items():
        if name.rpartition(".")[0] not in MODULES:
            plain[name] = (shape, values)
    for module in MODULES:
        plain[module + ".weight"] = (shape_of(module), dequantize(tensors, module, quantization))
    write_model(dense, plain, config)
    ours, theirs = perplexity(gptqc, folder, tokens), perplexity(gptqc, dense, tokens)
    assert ours == theirs, f"perplexity {ours}, of the dequantized model {theirs}"
    return ours


def main():
    gptqc = sys.argv[1]
    rng = random.Random(7)
    cases = [(bits, form, sym, act, GROUP) for form, widths in FORMATS.items() for bits in widths
             for sym in (True, False) for act in (False, True)]
    cases += [(4, "gptq", True, False, -1), (3, "gptq_v2", False, True, -1)]
    with tempfile.TemporaryDirectory() as work:
        write_model(os.path.join(work, "model"), random_model(rng), CONFIG)
        tokens = os.path.join(work, "tokens.npy")
        write_npy(tokens, [[rng.randrange(VOCABULARY) for _ in range(64)] for _ in range(8)])
        values = {case: check_folder(gptqc, work, tokens, case) for case in cases}
        dense = perplexity(gptqc, os.path.join(work, "model"), tokens)
    # The same codes in another packing mean the same; more bits come closer to the model.
    for (bits, form, sym, act, group), value in values.items():
        same = values.get((bits, "gptq_v2", sym, act, group))
        assert form == "gptq" and not sym or same is None or value == same, (bits, form, sym, act)
    assert abs(values[8, "gptq_p", False, False, GROUP] / dense - 1) < 0.01 < abs(values[2, "gptq", True, False, GROUP] / dense - 1)
    print(f"{len(cases)} quantized folders read as the format says")
    return 0


if __name__ == "__main__":
    sys.exit(main())
