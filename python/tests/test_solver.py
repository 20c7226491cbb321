"""GPTQ on one layer."""
import unittest

import numpy as np

import gptqc
from support import FolderTest


class SolverTest(FolderTest):
    def setUp(self):
        random = np.random.default_rng(3)
        mix = random.normal(0, 1, (96, 96))
        self.inputs = (random.normal(0, 1, (512, 96)) @ mix).astype(np.float32)  # correlated: there is to gain
        self.weight = random.normal(0, 0.05, (32, 96)).astype(np.float32)

    def test_hessian_of_inputs(self):
        hessian = gptqc.Hessian(96).add(self.inputs[:100]).add(self.inputs[100:].reshape(4, 103, 96))
        self.assertEqual(hessian.tokens, 512)
        expected = 2 / 512 * self.inputs.T @ self.inputs
        np.testing.assert_allclose(hessian.matrix(), expected, rtol=1e-4, atol=1e-2)

    def test_both_ways_agree_and_beat_rounding(self):
        by_inputs = gptqc.solve(self.weight, inputs=[self.inputs[:200], self.inputs[200:]], bits=3, group_size=32)
        by_matrix = gptqc.solve(self.weight, gptqc.Hessian(96).add(self.inputs), bits=3, group_size=32)
        self.assertTrue((by_inputs.codes == by_matrix.codes).all())
        self.assertEqual(by_inputs.codes.shape, (96, 32))
        self.assertEqual(by_inputs.scales.shape, (3, 32))
        self.assertLess(by_inputs.error_after, 0.85 * by_inputs.error_before)
        self.assertEqual(by_inputs.recovery, "none")
        expected = by_inputs.scales[by_inputs.g_idx] * (by_inputs.codes.astype(np.float32) -
                                                        by_inputs.zeros[by_inputs.g_idx])
        np.testing.assert_array_equal(by_inputs.dequantize(), expected.T)

    def test_act_order_and_dtypes(self):
        solution = gptqc.solve(self.weight.astype(np.float16), inputs=self.inputs.astype(np.float16), group_size=32,
                               act_order=True)
        self.assertFalse((np.diff(solution.g_idx) >= 0).all())

    def test_format_gptq_holds_no_zero_point_of_0(self):
        identity = np.eye(96, dtype=np.float32)
        positive = np.abs(self.weight)
        solution = gptqc.solve(positive, identity, bits=2, group_size=32, sym=False)
        self.assertEqual(int(solution.zeros.min()), 0)
        self.assertRefuses(gptqc.InvalidArgumentError, ["zero_from_one"], solution.tensors, "gptq")
        solution = gptqc.solve(positive, identity, bits=2, group_size=32, sym=False, zero_from_one=True)
        self.assertGreater(int(solution.zeros.min()), 0)
        solution.tensors("gptq")

    def test_bad_input(self):
        wrong = gptqc.InvalidArgumentError
        self.assertRefuses(wrong, ["either"], gptqc.solve, self.weight)
        self.assertRefuses(wrong, ["hessian"], gptqc.solve, self.weight, np.eye(5, dtype=np.float32))
        self.assertRefuses(wrong, ["bits"], gptqc.solve, self.weight, np.eye(96, dtype=np.float32), bits=1)
        self.assertRefuses(wrong, ["float64"], gptqc.solve, self.weight.astype(np.float64),
                           np.eye(96, dtype=np.float32))
        self.assertRefuses(wrong, [], gptqc.solve, np.full_like(self.weight, np.nan), np.eye(96, dtype=np.float32))
        self.assertRefuses(wrong, ["columns"], gptqc.Hessian, 0)


if __name__ == "__main__":
    unittest.main()
