"""The operator: values, gradient, opcheck, torch.compile, CUDA graphs."""
import unittest

import torch

import gptqc
from gptqc.torch import fuse, linear, prepare
from torch_support import DEVICE, Block, FolderTest, quant_linear, random_input


class OperatorTest(FolderTest):
    def test_values_and_gradient(self):
        for options in ({}, {"bias": True}, {"bits": 3}, {"bits": 5, "sym": False}, {"bits": 8, "act_order": True},
                        {"dtype": torch.bfloat16}):
            with self.subTest(**options):
                module, weight = quant_linear(96, 64, **options)
                x = random_input(2, 5, 64, dtype=module.act_dtype).requires_grad_()
                y = module(x)
                self.assertEqual((y.dtype, tuple(y.shape)), (x.dtype, (2, 5, 96)))
                expected = x.detach().float() @ weight.T + (0 if module.bias is None else module.bias.float())
                tolerance = 0.05 if module.act_dtype == torch.bfloat16 else 0.005
                torch.testing.assert_close(y.float(), expected, atol=tolerance, rtol=tolerance)
                y.backward(random_input(2, 5, 96, dtype=y.dtype, seed=2))
                gradient = random_input(2, 5, 96, dtype=y.dtype, seed=2).float() @ weight
                torch.testing.assert_close(x.grad.float(), gradient, atol=tolerance, rtol=tolerance)
                torch.testing.assert_close(module.dequantize().float(), weight, atol=1e-3, rtol=1e-2)

    def test_opcheck(self):
        module, _ = quant_linear(96, 64, bias=True)
        x = random_input(3, 64).requires_grad_()
        checked = torch.library.opcheck(torch.ops.gptqc.linear.default, (x, module.packed.handle, 96))
        self.assertEqual(set(checked.values()), {"SUCCESS"})
        grad = random_input(3, 96)
        checked = torch.library.opcheck(torch.ops.gptqc.linear_input_gradient.default,
                                        (grad, module.packed.handle, 64))
        self.assertEqual(set(checked.values()), {"SUCCESS"})

    def test_compile_without_graph_breaks(self):
        block = Block()
        x = random_input(5, 64)
        expected = block(x)
        self.assertEqual(fuse(block), 2)
        torch.testing.assert_close(block(x), expected, atol=0, rtol=0)
        compiled = torch.compile(block, fullgraph=True)
        torch.testing.assert_close(compiled(x), expected, atol=5e-3, rtol=5e-3)
        x = random_input(9, 64, seed=3).requires_grad_()
        compiled(x).sum().backward()
        other = x.detach().clone().requires_grad_()
        block(other).sum().backward()
        torch.testing.assert_close(x.grad, other.grad, atol=5e-3, rtol=5e-3)

    def test_compile_needs_packed_layers(self):
        module, _ = quant_linear(64, 64)
        with self.assertRaises(Exception) as caught:
            torch.compile(module, fullgraph=True)(random_input(2, 64))
        self.assertIn("prepare", str(caught.exception))

    @unittest.skipUnless(DEVICE.type == "cuda", "needs a GPU")
    def test_cuda_graph_of_a_decode_step(self):
        block = prepare(Block(), [1])
        fuse(block)
        x = random_input(1, 64)
        with torch.no_grad():
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                block(x)
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                y = block(x)
            for seed in range(3):
                x.copy_(random_input(1, 64, seed=seed))
                graph.replay()
                torch.testing.assert_close(y, block(x))

    def test_strides_and_empty(self):
        module, _ = quant_linear(96, 64)
        x = random_input(4, 6, 64)
        expected = module(x)
        torch.testing.assert_close(module(x.transpose(0, 1)), expected.transpose(0, 1), atol=0, rtol=0)
        wide = torch.zeros(24, 100, dtype=torch.float16, device=DEVICE)
        wide[:, 4:68] = x.reshape(-1, 64)
        torch.testing.assert_close(module(wide[:, 4:68]), expected.reshape(-1, 96), atol=2e-3, rtol=2e-3)
        self.assertEqual(module(x[:0]).shape, (0, 6, 96))

    def test_bad_input(self):
        module, _ = quant_linear(96, 64)
        wrong = gptqc.InvalidArgumentError
        self.assertRefuses(wrong, ["float64", "float16"], module, random_input(2, 64).double())
        self.assertRefuses(wrong, ["last dimension must be 64"], module, random_input(2, 32))
        self.assertRefuses(wrong, ["meta", str(DEVICE)], module, torch.empty(2, 64, device="meta").half())
        if DEVICE.type == "cuda":
            self.assertRefuses(wrong, ["x is on cpu"], module, random_input(2, 64, device="cpu"))
        handle = quant_linear(64, 64)[0].packed.handle
        self.assertRefuses(wrong, ["is gone"], torch.ops.gptqc.linear, random_input(2, 64), handle, 64)

    def test_raw_layer_on_any_stream(self):
        module, weight = quant_linear(96, 64)
        x = random_input(7, 64)
        torch.testing.assert_close(linear(x, module.packed), module(x), atol=0, rtol=0)
        layer = gptqc.Linear.from_parts([module.part()], str(DEVICE))
        y = layer(x)
        self.assertIsInstance(y, torch.Tensor)
        torch.testing.assert_close(y, module(x), atol=0, rtol=0)
        self.assertEqual(y.device.type, DEVICE.type)
        torch.testing.assert_close(y.float(), x.float() @ weight.T, atol=5e-3, rtol=5e-3)


if __name__ == "__main__":
    unittest.main()
