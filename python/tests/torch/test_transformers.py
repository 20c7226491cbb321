"""Models of transformers, tiny and with random weights: quantize, save, reload, generate; LoRA on top."""
import json
import os
import unittest

import torch

try:
    import transformers
except ImportError:
    raise unittest.SkipTest("transformers is not installed") from None

import gptqc
from gptqc.torch import QuantLinear
from gptqc.transformers import GptqcConfig, load
from torch_support import DEVICE, FolderTest

COMMON = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 256,
          "max_position_embeddings": 256, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
LLAMA_LIKE = {**COMMON, "intermediate_size": 96, "num_key_value_heads": 2}
CONFIGS = {
    "OPT": {**COMMON, "ffn_dim": 96, "word_embed_proj_dim": 64}, "Llama": LLAMA_LIKE, "Mistral": LLAMA_LIKE,
    "Qwen2": LLAMA_LIKE, "Qwen3": {**LLAMA_LIKE, "head_dim": 16}, "Gemma": {**LLAMA_LIKE, "head_dim": 16},
    "Gemma2": {**LLAMA_LIKE, "head_dim": 16, "sliding_window": 16}, "Phi": {**COMMON, "intermediate_size": 96},
    "Phi3": LLAMA_LIKE, "GPTNeoX": {**COMMON, "intermediate_size": 96}, "Olmo2": LLAMA_LIKE,
    "GPT2": {"n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 256, "n_positions": 256, "bos_token_id": 1,
             "eos_token_id": 2},
}
# Fused groups of two blocks: q/k/v and gate/up.
FUSED = {"OPT": 2, "Phi": 2, "Phi3": 0, "GPTNeoX": 0, "GPT2": 0}
DTYPE = torch.float16 if DEVICE.type == "cuda" else torch.float32
# What rounding to 16 bits between the layers may do to logits of size about 1.
TOLERANCE = 2e-2


def rows(count=16, length=32):
    return torch.randint(3, 256, (count, length), generator=torch.Generator().manual_seed(0))


def quant_linears(model):
    return {name: module for name, module in model.named_modules() if isinstance(module, QuantLinear)}


class ModelsTest(FolderTest):
    def make(self, name):
        folder = os.path.join(self.folder, name)
        if not os.path.exists(folder):
            torch.manual_seed(0)
            config = getattr(transformers, f"{name}Config")(**CONFIGS[name])
            config.num_hidden_layers = 2
            model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
            for parameter in model.parameters():  # so that attention and logits are not almost uniform
                if parameter.dim() > 1:
                    parameter.data.mul_(3)
            model.save_pretrained(folder)
        return folder

    def quantize(self, name, **options):
        settings = {"bits": 4, "group_size": 32, "dataset": rows(), "progress": False, **options}
        return transformers.AutoModelForCausalLM.from_pretrained(
            self.make(name), dtype=DTYPE, device_map={"": DEVICE}, quantization_config=GptqcConfig(**settings))

    def dequantized(self, name, quantized):
        """The model with the weights that the quantized one stands for."""
        model = transformers.AutoModelForCausalLM.from_pretrained(self.make(name), dtype=DTYPE).to(DEVICE)
        with torch.no_grad():
            for path, module in quant_linears(quantized).items():
                linear, weight = model.get_submodule(path), module.dequantize()
                linear.weight.copy_(weight.T if linear.weight.shape != weight.shape or
                                    type(linear).__name__ == "Conv1D" else weight)
        return model

    def assertGreedyAgrees(self, model, reference, tokens, new=64):
        """Equal up to the first step at which the reference's two best are closer than the tolerance."""
        options = {"max_new_tokens": new, "do_sample": False, "output_scores": True, "min_new_tokens": new,
                   "return_dict_in_generate": True, "attention_mask": torch.ones_like(tokens)}
        ours, theirs = (m.generate(tokens, **options) for m in (model, reference))
        for step, scores in enumerate(theirs.scores):
            top = scores[0].float().topk(2).values
            if top[0] - top[1] < 2 * TOLERANCE:
                return
            at = tokens.shape[1] + step
            self.assertEqual(ours.sequences[0, at].item(), theirs.sequences[0, at].item(), f"step {step}")

    def test_every_architecture(self):
        tokens = rows(2, 20).to(DEVICE)
        for name in CONFIGS:
            with self.subTest(name):
                quantized = self.quantize(name)
                folder = os.path.join(self.folder, name + "-w4")
                quantized.save_pretrained(folder)
                reloaded = load(folder, dtype=DTYPE, device_map={"": DEVICE})
                layers = quant_linears(reloaded)
                self.assertEqual(set(layers), set(quant_linears(quantized)))
                self.assertGreaterEqual(len(layers), 8)
                fused = {id(module.fused) for module in layers.values() if module.fused is not None}
                self.assertEqual(len(fused), FUSED.get(name, 4))
                self.assertEqual(gptqc.open(folder).lint(), [])
                reference = self.dequantized(name, reloaded)
                with torch.no_grad():
                    logits = reloaded(tokens).logits.float()
                    torch.testing.assert_close(logits, quantized(tokens).logits.float(), atol=1e-3, rtol=1e-3)
                    torch.testing.assert_close(logits, reference(tokens).logits.float(), atol=TOLERANCE,
                                               rtol=TOLERANCE)
                self.assertGreedyAgrees(reloaded, reference, tokens[:1])

    def test_configurations(self):
        tokens = rows(2, 20).to(DEVICE)
        for options in ({"bits": 3, "desc_act": True}, {"bits": 5}, {"sym": False}, {"format": "gptq", "sym": False},
                        {"group_size": -1, "true_sequential": False},
                        {"modules_in_block_to_quantize": [["self_attn.q_proj", "self_attn.k_proj"], "mlp.up_proj"]},
                        {"dynamic": {"-:.*down_proj": {}, ".*gate_proj": {"bits": 8, "group_size": 64}}}):
            with self.subTest(**options):
                quantized = self.quantize("Llama", **options)
                folder = os.path.join(self.folder, "llama-variant")
                quantized.save_pretrained(folder)
                with open(os.path.join(folder, "config.json"), encoding="utf-8") as stream:
                    facts = json.load(stream)["quantization_config"]
                self.assertEqual(facts["quant_method"], "gptq")
                self.assertEqual(facts["bits"], options.get("bits", 4))
                errors = [finding for finding in gptqc.open(folder).lint() if finding.severity != "warning"]
                self.assertEqual(errors, [])
                reloaded = load(folder, dtype=DTYPE, device_map={"": DEVICE})
                self.assertEqual(set(quant_linears(reloaded)), set(quant_linears(quantized)))
                with torch.no_grad():
                    torch.testing.assert_close(reloaded(tokens).logits, quantized(tokens).logits, atol=1e-3,
                                               rtol=1e-3)

    def test_gptq_is_better_than_rounding(self):
        dense = transformers.AutoModelForCausalLM.from_pretrained(self.make("Llama"), dtype=DTYPE).to(DEVICE)
        quantized = self.quantize("Llama", bits=3, dataset=rows(32, 64))
        rounded = self.dequantized("Llama", quantized)
        with torch.no_grad():
            for path in quant_linears(quantized):
                weight = dense.get_submodule(path).weight
                solution = gptqc.solve(weight.float(), torch.eye(weight.shape[1]), bits=3, group_size=32)
                rounded.get_submodule(path).weight.copy_(torch.from_numpy(solution.dequantize()))
            tokens = rows(32, 64).to(DEVICE)
            logits = dense(tokens).logits
            error = [(model(tokens).logits - logits).float().norm() for model in (quantized, rounded)]
        self.assertLess(error[0], error[1])

    def test_bad_input(self):
        wrong = gptqc.InvalidArgumentError
        self.assertRefuses(wrong, ["bits"], GptqcConfig, bits=9)
        self.assertRefuses(wrong, ["damp"], GptqcConfig, damp_percent=1)
        self.assertRefuses(wrong, ["gptq_p"], GptqcConfig, bits=5, format="gptq")
        self.assertRefuses(wrong, ["not quantized"], load, self.make("Llama"))
        self.assertRefuses(wrong, ["dataset"], self.quantize, "Llama", dataset=None)
        self.assertRefuses(gptqc.NotFoundError, ["nowhere"], self.quantize, "Llama", dataset="nowhere")
        self.assertRefuses(wrong, ["model.layers"], self.quantize, "Llama", block_name_to_quantize="blocks")

    def test_offloaded_blocks(self):
        folder = self.make("Llama")
        place = 0 if DEVICE.type == "cuda" else "cpu"  # accelerate knows no torch.device here
        device_map = {"model.embed_tokens": place, "model.norm": place, "lm_head": place,
                      "model.rotary_emb": place, "model.layers.0": place, "model.layers.1": "disk"}
        quantized = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=DTYPE, device_map=device_map, offload_folder=os.path.join(self.folder, "offload"),
            quantization_config=GptqcConfig(bits=4, group_size=32, dataset=rows(), progress=False))
        output = os.path.join(self.folder, "offloaded-w4")
        quantized.save_pretrained(output)
        expected = self.quantize("Llama")
        reloaded = load(output, dtype=DTYPE, device_map={"": DEVICE})
        tokens = rows(2, 20).to(DEVICE)
        with torch.no_grad():
            torch.testing.assert_close(reloaded(tokens).logits, expected(tokens).logits, atol=TOLERANCE,
                                       rtol=TOLERANCE)


if __name__ == "__main__":
    unittest.main()
