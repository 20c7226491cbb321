"""QuantLinear as a module: state, copies, moves, types, fusion."""
import copy
import io
import unittest

import torch

import gptqc
from gptqc.torch import QuantLinear, fuse, unfuse
from torch_support import DEVICE, Block, FolderTest, quant_linear, random_input


class QuantLinearTest(FolderTest):
    def setUp(self):
        self.block = Block()
        self.x = random_input(3, 64)
        self.expected = self.block(self.x)

    def assertSame(self, block, x=None):
        torch.testing.assert_close(block(self.x if x is None else x).to(DEVICE), self.expected, atol=0, rtol=0)

    def test_state_dict(self):
        fuse(self.block)
        state = self.block.state_dict()
        self.assertEqual({name.rpartition(".")[2] for name in state}, {"qweight", "qzeros", "scales", "g_idx"})
        self.assertEqual(state["q_proj.qweight"].dtype, torch.int32)
        other = Block()
        for module in other.children():
            module.qweight.zero_()
        other(self.x)
        other.load_state_dict(state)
        self.assertSame(other)
        if DEVICE.type == "cuda":
            self.assertEqual(self.block.q_proj.qweight.device.type, "cpu")

    def test_copies_and_pickles(self):
        fuse(self.block)
        self.assertSame(copy.deepcopy(self.block))
        file = io.BytesIO()
        torch.save(self.block, file)
        file.seek(0)
        loaded = torch.load(file, weights_only=False)
        self.assertIsNone(loaded.q_proj.fused)
        self.assertSame(loaded)

    def test_moves(self):
        fuse(self.block)
        self.block.to("cpu")
        y = self.block(self.x.cpu())
        torch.testing.assert_close(y, self.expected.cpu(), atol=5e-3, rtol=5e-3)
        self.block.to(DEVICE)
        self.assertSame(self.block)

    def test_types(self):
        module, weight = quant_linear(96, 64, bias=True)
        x = random_input(3, 64, dtype=torch.float32)
        y = module(x)
        self.assertEqual(y.dtype, torch.float32)
        torch.testing.assert_close(y, x @ weight.T + module.bias.float(), atol=2e-2, rtol=2e-2)
        scales = module.scales.clone()
        module.bfloat16()
        self.assertIn("bf16->bf16", module.descriptor)
        self.assertTrue((module.scales == scales).all())
        self.assertEqual(module(x.bfloat16()).dtype, torch.bfloat16)
        module.float()
        self.assertEqual(module.scales.dtype, torch.float16)
        with torch.autocast(DEVICE.type, dtype=torch.bfloat16):
            self.assertEqual(module(x).dtype, torch.bfloat16)
        with self.assertRaises(gptqc.InvalidArgumentError):
            QuantLinear(64, 64, act_dtype=torch.float64)

    def test_fused_parts_in_any_order(self):
        self.assertEqual(fuse(self.block), 2)
        self.assertEqual(fuse(self.block), 0)
        names = ("q_proj", "k_proj", "v_proj")
        single = {name: getattr(unfuse(copy.deepcopy(self.block)), name)(self.x) for name in names}
        for order in (names, names[::-1], names + names, ("v_proj", "v_proj", "q_proj")):
            for name in order:
                torch.testing.assert_close(getattr(self.block, name)(self.x), single[name], atol=0, rtol=0)
        changed = self.x.clone()
        self.block.q_proj(changed)
        changed.add_(1)  # in place: the other parts must not see the old product
        torch.testing.assert_close(self.block.k_proj(changed), unfuse(copy.deepcopy(self.block)).k_proj(changed),
                                   atol=0, rtol=0)
        with torch.no_grad():
            self.block.q_proj(self.x)
        leaf = self.x.clone().requires_grad_()
        (self.block.k_proj(leaf).sum() + self.block.v_proj(leaf).sum()).backward()
        weight = torch.cat([self.block.k_proj.dequantize(), self.block.v_proj.dequantize()]).float()
        torch.testing.assert_close(leaf.grad.float(), weight.sum(0).expand_as(leaf), atol=1e-2, rtol=1e-2)

    def test_what_cannot_be_fused_stays(self):
        self.block.k_proj = quant_linear(32, 64, bits=8)[0]
        self.assertEqual(fuse(self.block), 1)
        self.assertIsNone(self.block.q_proj.fused)


if __name__ == "__main__":
    unittest.main()
