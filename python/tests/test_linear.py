"""Linear on the CPU: every kind of layer against its dequantized weights, and what is refused."""
import unittest

import numpy as np

import gptqc
from support import FolderTest, random_layer


class Lent:
    """A tensor of a library that has nothing but DLPack."""

    def __init__(self, array):
        self._array = array
        self.shape = array.shape

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


def relative_error(y, expected):
    return np.linalg.norm(y.astype(np.float32) - expected) / np.linalg.norm(expected)


class LinearTest(FolderTest):
    def setUp(self):
        self.solution, self.weight = random_layer(64, 128, bits=4, group_size=32)
        self.linear = gptqc.Linear(**self.solution.tensors(), bits=4, group_size=32)
        self.x = np.random.default_rng(1).normal(0, 1, (6, 128)).astype(np.float16)

    def test_every_kind_of_layer(self):
        for bits in range(2, 9):
            for options in ({}, {"sym": False}, {"act_order": True}, {"group_size": -1}):
                with self.subTest(bits=bits, **options):
                    group_size = options.pop("group_size", 32)
                    solution, weight = random_layer(64, 128, bits=bits, group_size=group_size, **options)
                    planar = bits in (5, 6, 7)
                    tensors = solution.tensors("gptq_p" if planar else "gptq_v2")
                    linear = gptqc.Linear(**tensors, bits=bits, group_size=group_size, zeros="stored",
                                          packing="planar" if planar else "continuous")
                    self.assertTrue(linear.descriptor.startswith(f"w{bits} "))
                    self.assertEqual(" actorder" in linear.descriptor, "act_order" in options)
                    self.assertLess(relative_error(linear(self.x), self.x.astype(np.float32) @ weight.T), 1e-3)

    def test_leading_dimensions_and_out(self):
        expected = self.linear(self.x)
        self.assertEqual(expected.dtype, np.float16)
        self.assertTrue((self.linear(self.x.reshape(2, 3, 128)) == expected.reshape(2, 3, 64)).all())
        self.assertTrue((self.linear(self.x[2]) == expected[2]).all())
        wide = np.zeros((6, 100), np.float16)
        out = self.linear(self.x, wide[:, 20:84])
        self.assertTrue((wide[:, 20:84] == expected).all())
        self.assertEqual(out.ctypes.data, wide[:, 20:84].ctypes.data)
        self.assertEqual(np.count_nonzero(wide[:, :20]) + np.count_nonzero(wide[:, 84:]), 0)
        self.assertEqual(self.linear(self.x[:0]).shape, (0, 64))
        strided = np.zeros((6, 200), np.float16)[:, :128]
        strided[:] = self.x
        self.assertTrue((self.linear(strided) == expected).all())

    def test_any_library_with_dlpack(self):
        self.assertTrue((self.linear(Lent(self.x)) == self.linear(self.x)).all())

    def test_bias_and_bfloat16_as_bits(self):
        bias = np.arange(64, dtype=np.float16)
        linear = gptqc.Linear(**self.solution.tensors(), bias=bias, bits=4, group_size=32)
        self.assertLess(relative_error(linear(self.x), self.x.astype(np.float32) @ self.weight.T + bias), 1e-3)
        bits = (self.x.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)  # truncated
        rounded = (bits.astype(np.uint32) << 16).view(np.float32)
        linear = gptqc.Linear(**self.solution.tensors(), bits=4, group_size=32, act="bfloat16")
        y = (linear(bits).astype(np.uint32) << 16).view(np.float32)
        self.assertIn("bf16->bf16", linear.descriptor)
        self.assertLess(relative_error(y, rounded @ self.weight.T), 1e-2)

    def test_bad_input(self):
        refuses = self.assertRefuses
        wrong = gptqc.InvalidArgumentError
        refuses(wrong, ["float32", "must be float16"], self.linear, self.x.astype(np.float32))
        refuses(wrong, ["last dimension must be 128"], self.linear, self.x[:, :64])
        refuses(wrong, ["not contiguous"], self.linear, np.zeros((6, 256), np.float16)[:, ::2])
        refuses(wrong, ["list"], self.linear, [1, 2])
        refuses(wrong, ["x has 6 tokens, out has 5"], self.linear, self.x, np.empty((5, 64), np.float16))
        tensors = self.solution.tensors()
        refuses(wrong, ["bits"], gptqc.Linear, **tensors, bits=9)
        refuses(wrong, ["scales"], gptqc.Linear, **{**tensors, "scales": tensors["scales"].astype(np.float32)})
        refuses(wrong, ["g_idx"], gptqc.Linear, **{**tensors, "g_idx": tensors["g_idx"][:5]}, group_size=32)
        refuses(wrong, ["tpu"], gptqc.Linear, **tensors, group_size=32, device="tpu")

    def test_no_gpu_is_a_device_error(self):
        try:
            if gptqc.device_count() > 0:
                self.skipTest("there is a GPU")
        except gptqc.DeviceError:
            pass
        self.assertRefuses(gptqc.DeviceError, ["CUDA"], gptqc.Linear, **self.solution.tensors(), group_size=32,
                           device="cuda")


if __name__ == "__main__":
    unittest.main()
