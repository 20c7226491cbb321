"""Whole models: quantize, open, evaluate; progress and interruption; the tool beside the package."""
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import unittest

import numpy as np
from safetensors.numpy import load_file

import gptqc
from gptqc import _core
from support import DATA, LLAMA, OPT, TOKENS, FolderTest


class ModelTest(FolderTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.model = os.path.join(cls.folder, "opt-w4")
        cls.seen = []
        cls.report = gptqc.quantize(OPT, cls.model, calibration=TOKENS, samples=8, seqlen=256, bits=4, group_size=64,
                                    progress=lambda *event: cls.seen.append(event))

    def test_report_and_progress(self):
        self.assertEqual((self.report.layers, self.report.tokens), (36, 8 * 256))
        self.assertEqual([event[0] for event in self.seen], list(range(1, 37)))
        self.assertEqual({event[1] for event in self.seen}, {36})
        self.assertGreater(self.seen[0][3]["error_before"], self.seen[0][3]["error_after"])

    def test_open(self):
        checkpoint = gptqc.open(self.model)
        self.assertEqual(len(checkpoint), 36)
        self.assertEqual(checkpoint.lint(), [])
        layer = checkpoint["model.decoder.layers.0.fc1"]
        self.assertEqual((layer.in_features, layer.out_features, layer.bits, layer.groups), (256, 1024, 4, 4))
        self.assertEqual(layer.descriptor, "w4 g64 sym f16->f16 n1024 k256 m1.. bias")
        self.assertEqual(len(checkpoint.descriptors), 3)

    def test_linear_of_a_checkpoint(self):
        checkpoint = gptqc.open(self.model)
        names = [f"model.decoder.layers.2.self_attn.{name}_proj" for name in "qkv"]
        x = np.random.default_rng(0).normal(0, 1, (5, 256)).astype(np.float16)
        fused = checkpoint.linear(names)(x)
        parts = [checkpoint.linear(name)(x) for name in names]
        self.assertTrue((fused == np.concatenate(parts, 1)).all())
        tensors = load_file(os.path.join(self.model, "model.safetensors"))
        prefix = names[0] + "."
        own = {key: tensors[prefix + key] for key in ("qweight", "qzeros", "scales", "g_idx", "bias")}
        self.assertTrue((gptqc.Linear(**own, group_size=64)(x) == parts[0]).all())

    def test_perplexity(self):
        dense = gptqc.evaluate(OPT, TOKENS, rows=4, seqlen=256)
        tokens = gptqc.load_tokens(TOKENS, "eval_ids")[:4, :256]
        quantized = gptqc.evaluate(self.model, tokens)
        self.assertEqual(quantized.predictions, 4 * 255)
        self.assertTrue(dense.perplexity < quantized.perplexity < 1.15 * dense.perplexity)

    def test_round_to_nearest_and_bad_arguments(self):
        output = os.path.join(self.folder, "llama-rtn")
        report = gptqc.quantize(LLAMA, output, method="rtn", bits=8, group_size=32)
        self.assertEqual(report.layers, 56)
        wrong = gptqc.InvalidArgumentError
        self.assertRefuses(wrong, ["calibration"], gptqc.quantize, LLAMA, output)
        self.assertRefuses(wrong, ["mse"], gptqc.quantize, LLAMA, output, method="rtn", mse=True)
        self.assertRefuses(wrong, [output], gptqc.quantize, LLAMA, output, method="rtn")
        self.assertRefuses(wrong, ["200 rows"], gptqc.quantize, LLAMA, output, calibration=TOKENS, samples=200)
        self.assertRefuses(wrong, ["length"], gptqc.quantize, LLAMA, output, calibration=[[1, 2], [3]])
        self.assertRefuses(gptqc.NotFoundError, ["folder"], gptqc.open, os.path.join(self.folder, "none"))

    def test_lint_says_what_is_wrong(self):
        broken = os.path.join(self.folder, "broken")
        shutil.copytree(self.model, broken)
        for name in ("config.json", "quantize_config.json"):
            path = os.path.join(broken, name)
            with open(path, encoding="utf-8") as stream:
                text = stream.read()
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(text.replace('"bits": 4', '"bits": 8'))
        with self.assertRaises(gptqc.CorruptDataError):
            gptqc.open(broken)
        findings = gptqc.open(broken, examine=True).lint()
        self.assertTrue(any(finding.severity == "fatal" for finding in findings))
        self.assertIn("[", str(findings[0]))

    def test_an_exception_of_progress_ends_the_run(self):
        output = os.path.join(self.folder, "stopped")

        def stop(done, *_):
            if done == 3:
                raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            gptqc.quantize(OPT, output, calibration=TOKENS, samples=2, seqlen=128, progress=stop)
        self.assertFalse(os.path.exists(output))
        report = gptqc.quantize(OPT, output, calibration=TOKENS, samples=2, seqlen=128, resume=True)
        self.assertGreaterEqual(report.resumed, 2)

    def test_long_calls_release_the_gil(self):
        ticks, done = [], threading.Event()

        def tick():
            while not done.wait(0.005):
                ticks.append(time.monotonic())

        thread = threading.Thread(target=tick)
        thread.start()
        start = time.monotonic()
        gptqc.evaluate(OPT, TOKENS, rows=4, seqlen=256)
        elapsed = time.monotonic() - start
        done.set()
        thread.join()
        self.assertGreater(len(ticks), elapsed / 0.005 / 20)

    @unittest.skipUnless(_core.has_tokenizer, "built without tokenizers")
    def test_text(self):
        seen = []
        ids = gptqc.Tokenizer(self.model).encode("The SELECT statement")
        new = gptqc.generate(self.model, ids, max_tokens=12, on_token=seen.append)
        self.assertEqual((len(new), new), (12, seen))
        text = gptqc.generate(self.model, "The SELECT statement", max_tokens=12)
        self.assertEqual(text, gptqc.Tokenizer(self.model).decode(new))
        self.assertEqual(gptqc.generate(self.model, ids, on_token=lambda _: False), new[:1])
        sampled = [gptqc.generate(self.model, ids, max_tokens=12, temperature=1.0, seed=seed) for seed in (1, 1, 2)]
        self.assertEqual(sampled[0], sampled[1])
        self.assertNotEqual(sampled[0], sampled[2])
        output = os.path.join(self.folder, "by-texts")
        report = gptqc.quantize(OPT, output, calibration=["The table has columns. " * 40] * 8, seqlen=128, samples=4)
        self.assertEqual(report.tokens, 4 * 128)

    @unittest.skipUnless(_core.has_sentencepiece, "built where SentencePiece is not installed")
    def test_sentencepiece(self):
        folder = os.path.join(DATA, "tokenizers")
        with open(os.path.join(folder, "encodings.json"), encoding="utf-8") as file:
            recorded = json.load(file)["sentencepiece"]
        tokenizer = gptqc.Tokenizer(os.path.join(folder, "sentencepiece"))
        for text, ids in recorded:
            self.assertEqual(list(tokenizer.encode(text, document=False)), ids, text)
        # The tool has the plugin too: it refuses the text for its length, not for want of a tokenizer.
        model = os.path.join(self.folder, "sentencepiece")
        shutil.copytree(OPT, model, ignore=shutil.ignore_patterns("tokenizer*"))
        shutil.copy(os.path.join(folder, "sentencepiece", "tokenizer.model"), model)
        text = os.path.join(self.folder, "short.txt")
        with open(text, "w", encoding="utf-8") as file:
            file.write("too short")
        if os.environ.get("GPTQC_TEST_DATA"):  # installed from a wheel
            said = subprocess.run(["gptqc", "quantize", model, "--bits", "4", "--calibration", text, "-o",
                                   os.path.join(self.folder, "none")], check=False, capture_output=True, text=True)
            self.assertEqual(said.returncode, 1)
            self.assertIn("its text has", said.stderr)

    def test_package(self):
        self.assertNotIn("torch", sys.modules)
        folder = os.path.dirname(gptqc.__file__)
        self.assertTrue(os.path.exists(os.path.join(folder, "py.typed")))
        if os.environ.get("GPTQC_TEST_DATA"):  # installed from a wheel
            said = subprocess.run(["gptqc", "--version"], check=True, capture_output=True, text=True).stdout
            self.assertIn(gptqc.__version__, said)


if __name__ == "__main__":
    unittest.main()
