#!/usr/bin/env python3
"""Installs gptqc into a folder, moves that folder, and builds the examples against it with CMake, the C
one with pkg-config too, and a C++17 program with the wrapper; runs them on a small model.

    package_test.py SOURCE BUILD CMAKE CC CXX
"""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = BUILD = CMAKE = CC = CXX = ""

WRAPPER = """
#include <gptqc/gptqc.hpp>
#include <cstdio>
int main(int, char **argv) {
  const gptqc::checkpoint model(argv[1]);
  const gptqc::layer layer(model, model.layer_name(0));
  std::printf("%s\\n", layer.descriptor().c_str());
  try {
    gptqc::checkpoint("/no/such/folder");
  } catch (const gptqc::error &e) {
    return e.code() == GPTQC_NOT_FOUND || e.code() == GPTQC_IO_ERROR ? 0 : 1;
  }
  return 1;
}
"""


def run(*command, **options):
    result = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if result.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: exit code {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="gptqc-package-")
        first = os.path.join(cls.folder, "first")
        run(CMAKE, "--install", BUILD, "--prefix", first)
        cls.prefix = os.path.join(cls.folder, "moved")
        os.rename(first, cls.prefix)
        cls.library = next(root for root, _, files in os.walk(cls.prefix) if "libgptqc_runtime.so" in files)
        cls.model = os.path.join(cls.folder, "model")
        run(os.path.join(cls.prefix, "bin", "gptqc"), "quantize",
            os.path.join(SOURCE, "tests/data/models/docs-llama-7m"), "--method", "rtn", "--bits", "4",
            "--group-size", "64", "-o", cls.model)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder, ignore_errors=True)

    def environment(self):
        pkgconfig = os.path.join(self.library, "pkgconfig")
        return dict(os.environ, LD_LIBRARY_PATH=self.library, PKG_CONFIG_PATH=pkgconfig)

    def check_example(self, program):
        output = run(program, self.model, env=self.environment())
        self.assertIn("16 tokens on the CPU", output)

    def build_example(self, folder, program):
        build = os.path.join(self.folder, "build", folder)
        run(CMAKE, "-S", os.path.join(SOURCE, "examples", folder), "-B", build,
            f"-DCMAKE_PREFIX_PATH={self.prefix}", f"-DCMAKE_C_COMPILER={CC}", f"-DCMAKE_CXX_COMPILER={CXX}")
        run(CMAKE, "--build", build)
        return os.path.join(build, program)

    def test_cmake_package_and_ahead_of_time(self):
        program = self.build_example("c_embed", "c_embed")
        self.check_example(program)
        script, pack = os.path.join(SOURCE, "examples/aot/aot.sh"), os.path.join(self.folder, "pack")
        environment = dict(self.environment(), GPTQC=os.path.join(self.prefix, "bin/gptqc"), C_EMBED=program)
        run(script, "build", self.model, pack, "--target", "sm_90a", "--m", "16", "--no-ptx", "--no-cache",
            env=environment)
        output = run(script, "run", self.model, pack, env=environment)
        self.assertIn("16 tokens on the CPU", output)  # and on the GPU, where there is one

    def test_llama_block(self):
        program = self.build_example("libtorch_free_llama_block", "llama_block")
        act_order = os.path.join(self.folder, "act_order")
        run(os.path.join(self.prefix, "bin", "gptqc"), "quantize",
            os.path.join(SOURCE, "tests/data/models/docs-llama-7m"), "--bits", "3", "--asym", "--act-order",
            "--group-size", "32", "--calibration", os.path.join(SOURCE, "tests/data/tokens.safetensors"),
            "--samples", "2", "--seqlen", "128", "-o", act_order)
        for model in (self.model, act_order):
            output = run(program, model, env=self.environment())  # fails when it is not within its limit
            self.assertRegex(output, r"^CPU: block of 16 tokens in .* relative error")
        pack = os.path.join(self.folder, "fused.pack")
        run(os.path.join(self.prefix, "bin", "gptqc"), "pack", "build", self.model, "--fused", "--target", "sm_90a",
            "--m", "16", "--no-ptx", "--no-cache", "-o", pack)
        self.assertRegex(run(program, self.model, pack, env=self.environment()), "no GPU: |its linear layers: ")

    @unittest.skipUnless(shutil.which("pkg-config"), "no pkg-config")
    def test_pkg_config(self):
        flags = run("pkg-config", "--cflags", "--libs", "gptqc", env=self.environment()).split()
        program = os.path.join(self.folder, "by_hand")
        run(CC, "-std=c99", "-Wall", "-Werror", os.path.join(SOURCE, "examples/c_embed/c_embed.c"), "-o", program,
            *flags, "-lm", "-ldl")
        self.check_example(program)

    def test_wrapper(self):
        source = os.path.join(self.folder, "wrapper.cpp")
        with open(source, "w", encoding="utf-8") as stream:
            stream.write(WRAPPER)
        program = os.path.join(self.folder, "wrapper")
        run(CXX, "-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{self.prefix}/include", source, "-o", program,
            f"-L{self.library}", "-lgptqc_runtime")
        self.assertIn("w4 g64", run(program, self.model, env=self.environment()))


if __name__ == "__main__":
    SOURCE, BUILD, CMAKE, CC, CXX = sys.argv[1:6]
    del sys.argv[1:6]
    unittest.main()
