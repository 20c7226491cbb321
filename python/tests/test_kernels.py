"""The compiler from Python: stages as text, kernels into the cache, packs."""
import os
import unittest

from safetensors import safe_open

import gptqc
from gptqc import _core, _nvrtc
from support import FolderTest

LAYER = "w4 g128 sym f16->f16 n256 k256 m1..1"


def has_nvrtc():
    try:
        gptqc.emit(LAYER, stage="ptx")
    except gptqc.NotFoundError:
        return False
    return True


def gpu_is_there():
    try:
        return gptqc.device_count() > 0
    except gptqc.DeviceError:
        return False


@unittest.skipUnless(_core.has_compiler, "built without the compiler")
class KernelsTest(FolderTest):
    def test_stages(self):
        self.assertIn("gptq.linear", gptqc.emit(LAYER, stage="gptq"))
        self.assertIn("tile.kernel", gptqc.emit(LAYER, stage="tile"))
        text = gptqc.emit(LAYER, "sm_80")
        self.assertIn("__global__", text)
        self.assertIn(LAYER, text)

    def test_bad_input(self):
        wrong = gptqc.InvalidArgumentError
        self.assertRefuses(wrong, ["w9"], gptqc.emit, LAYER.replace("w4", "w9"))
        self.assertRefuses(wrong, ["sm_1"], gptqc.emit, LAYER, "sm_1")
        self.assertRefuses(wrong, ["stage"], gptqc.emit, LAYER, stage="asm")
        self.assertRefuses(gptqc.NotFoundError, ["nvrtc"], gptqc.emit, LAYER, stage="ptx", nvrtc=self.folder)

    def test_compile_and_pack(self):
        if not has_nvrtc():
            self.skipTest("no NVRTC on this machine")
        cache = os.path.join(self.folder, "cache")
        events = []
        kernels = gptqc.compile([LAYER], "sm_90a", tokens=[1], cache=cache,
                                progress=lambda *event: events.append(event))
        self.assertEqual(len(kernels), 1)
        self.assertGreater(kernels[0].registers, 0)
        self.assertTrue(kernels[0].cubin.startswith(b"\x7fELF"))
        self.assertEqual(events, [(1, 1, kernels[0].descriptor)])
        path = os.path.join(self.folder, "layer.kernels.safetensors")
        summary = gptqc.pack(LAYER, path, "sm_90a", tokens=[1], ptx=False, cache=cache)
        self.assertEqual(summary.kernels, 2)  # the layer's, and the one that repacks weights
        with safe_open(path, "numpy") as file:
            self.assertEqual(len(file.keys()), summary.kernels)

    def test_tune(self):
        path = os.path.join(self.folder, "records.txt")
        wrong = gptqc.InvalidArgumentError
        self.assertRefuses(wrong, ["w9"], gptqc.tune, [LAYER.replace("w4", "w9")], path)
        self.assertRefuses(wrong, ["shard 4 of 4"], gptqc.tune, LAYER, path, shard=(4, 4))
        self.assertRefuses(wrong, ["0 candidates"], gptqc.tune, LAYER, path, candidates=0)
        self.assertRefuses(gptqc.NotFoundError, ["nowhere"], gptqc.tune, os.path.join(self.folder, "nowhere"), path)
        with open(path, "w", encoding="utf-8") as file:
            file.write("no record\n")
        self.assertRefuses(wrong, [path], gptqc.tune, LAYER, path)
        os.remove(path)
        if not gpu_is_there():
            self.assertRefuses(gptqc.DeviceError, ["CUDA driver"], gptqc.tune, LAYER, path)
            self.assertFalse(os.path.exists(path))
            return
        events = []
        summary = gptqc.tune(LAYER, path, candidates=3, per_kernel=0.2, cache="",
                             progress=lambda *event: events.append(event))
        self.assertEqual((summary.left, len(summary.points)), (0, 1))
        self.assertEqual(events, [(1, 1, summary.points[0].descriptor)])
        self.assertGreater(summary.points[0].microseconds, 0)
        self.assertEqual(gptqc.tune(LAYER, path).points, [])  # it has its record
        tuned = gptqc.compile([LAYER], "sm_90a", tokens=[1], cache="", tuned=path)
        self.assertEqual(tuned[0].schedule, summary.points[0].schedule)

    def test_nvrtc_among_python_packages(self):
        before = {name: os.environ.pop(name, None) for name in ("GPTQC_NVRTC", "CUDA_HOME", "CUDA_PATH")}
        library = os.path.join(self.folder, "nvidia", "cu13", "lib")
        os.makedirs(library)
        with open(os.path.join(library, "libnvrtc.so.13"), "wb"):
            pass
        import sys
        sys.path.insert(0, self.folder)
        try:
            self.assertEqual(_nvrtc.library_folder(), self.folder)
            os.environ["GPTQC_NVRTC"] = "elsewhere"
            self.assertEqual(_nvrtc.library_folder(), "")
        finally:
            sys.path.remove(self.folder)
            os.environ.pop("GPTQC_NVRTC", None)
            os.environ.update({name: value for name, value in before.items() if value is not None})


if __name__ == "__main__":
    unittest.main()
