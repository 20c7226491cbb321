"""Where the data are, and small helpers of the tests."""
import os
import tempfile
import unittest

import numpy as np

import gptqc

DATA = os.environ.get("GPTQC_TEST_DATA",
                      os.path.join(os.path.dirname(__file__), "..", "..", "tests", "data"))
OPT = os.path.join(DATA, "models", "docs-opt-5m")
LLAMA = os.path.join(DATA, "models", "docs-llama-7m")
TOKENS = os.path.join(DATA, "tokens.safetensors")


class FolderTest(unittest.TestCase):
    """A test class with a folder of its own."""

    @classmethod
    def setUpClass(cls):
        cls._folder = tempfile.TemporaryDirectory(prefix="gptqc-test-")
        cls.folder = cls._folder.name

    @classmethod
    def tearDownClass(cls):
        cls._folder.cleanup()

    def assertRefuses(self, error, words, function, *args, **kwargs):
        """The call raises `error`, one line that holds all `words`."""
        with self.assertRaises(error) as caught:
            function(*args, **kwargs)
        message = str(caught.exception)
        self.assertIsInstance(caught.exception, gptqc.Error)
        self.assertNotIn("\n", message)
        for word in words:
            self.assertIn(word, message)


def random_layer(n, k, seed=0, **options):
    """A solved layer with random weights, and its weights as they are stored, float32 [N, K]."""
    random = np.random.default_rng(seed)
    weight = random.normal(0, 0.05, (n, k)).astype(np.float32)
    solution = gptqc.solve(weight, inputs=random.normal(0, 1, (256, k)).astype(np.float32), **options)
    return solution, solution.dequantize()
