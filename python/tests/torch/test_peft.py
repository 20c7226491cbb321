"""LoRA on a quantized model: the loss falls, the quantized weights do not change, nothing is merged."""
import os
import unittest

import torch

try:
    import peft
    import transformers  # noqa: F401
except ImportError:
    raise unittest.SkipTest("peft and transformers are not both installed") from None

import gptqc
from gptqc.peft import get_peft_model, register
from gptqc.transformers import load
from torch_support import DEVICE, LLAMA, TOKENS, FolderTest

STEPS = 100 if DEVICE.type == "cuda" else 10


class PeftTest(FolderTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.model = os.path.join(cls.folder, "llama-w4")
        gptqc.quantize(LLAMA, cls.model, method="rtn", bits=4, group_size=64)

    def load(self):
        return load(self.model, dtype=torch.float16 if DEVICE.type == "cuda" else torch.float32,
                    device_map={"": DEVICE})

    def test_lora_trains(self):
        base = self.load()
        state = {name: value.clone() for name, value in base.state_dict().items()}
        config = peft.LoraConfig(r=8, lora_alpha=16, task_type="CAUSAL_LM",
                                 target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj",
                                                 "down_proj"])
        model = get_peft_model(base, config)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-3)
        tokens = torch.from_numpy(gptqc.load_tokens(TOKENS)[:8, :128]).long().to(DEVICE)
        losses = []
        for step in range(STEPS):
            batch = tokens[step % 2 * 4:step % 2 * 4 + 4]
            loss = model(input_ids=batch, labels=batch).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f} in {STEPS} steps")
        self.assertLess(sum(losses[-2:]), sum(losses[:2]) - 0.2)
        for name, value in base.state_dict().items():
            plain = name.replace(".base_layer", "").replace("base_model.model.", "")
            if plain in state:
                self.assertTrue(torch.equal(value.cpu(), state[plain].cpu()), name)
        self.assertRefuses(gptqc.UnsupportedError, ["merged"], model.merge_and_unload)
        self.check_saved(model, tokens)

    def check_saved(self, model, tokens):
        folder = os.path.join(self.folder, "adapter")
        model.eval().save_pretrained(folder)
        config = register(peft.LoraConfig.from_pretrained(folder))
        loaded = peft.PeftModel.from_pretrained(self.load(), folder, config=config).eval()
        with torch.no_grad():
            torch.testing.assert_close(loaded(tokens[:1]).logits, model(tokens[:1]).logits, atol=2e-2, rtol=2e-2)


if __name__ == "__main__":
    unittest.main()
