#!/usr/bin/env python3
"""The rules themselves: each one finds the offence that it is for, and passes what is right.

    rules_test.py [C++ compiler]
"""
import os
import subprocess
import sys
import tempfile
import unittest

import binary_rules
import source_rules

COMPILER = "c++"


class SourceRules(unittest.TestCase):
    def found(self, path, text):
        with tempfile.TemporaryDirectory() as root:
            os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as stream:
                stream.write(text)
            return list(source_rules.offences(root))

    def refuses(self, path, text, reason):
        found = self.found(path, text)
        self.assertEqual(len(found), 1, found)
        self.assertIn(reason, found[0])

    def accepts(self, path, text):
        self.assertEqual(self.found(path, text), [])

    def test_includes_point_downward(self):
        self.accepts("compiler/A.cpp", '// A.\n#include "runtime/core/B.h"\n#include "mlir/IR/C.h"\n')
        self.accepts("runtime/dispatch/A.cpp", '// A.\n#include "runtime/device/B.h"\n')
        self.refuses("runtime/core/A.cpp", '// A.\n#include "runtime/cpu/B.h"\n', "nothing else")
        self.refuses("runtime/cpu/A.cpp", '// A.\n#include "compiler/B.h"\n', "runtime/core")
        self.refuses("dialect/gptq/A.td", '// A.\ninclude "compiler/B.td"\n', "may include")
        self.refuses("compiler/A.cpp", '// A.\n#include "runtime/device/B.h"\n', "may include")

    def test_includes_start_at_the_root(self):
        self.refuses("cli/A.cpp", '// A.\n#include "B.h"\n', "from the repository root")
        self.refuses("cli/A.cpp", '// A.\n#include "../runtime/core/B.h"\n', "from the repository root")

    def test_foreign_libraries(self):
        self.refuses("runtime/cpu/A.cpp", "// A.\n#include <mlir/IR/B.h>\n", "only dialect, compiler")
        self.refuses("compiler/jit/A.cpp", "// A.\n#include <nvrtc.h>\n", "only dlopen")
        self.refuses("compiler/A.cpp", "// A.\n#include <CLI/CLI.hpp>\n", "only cli")

    def test_size(self):
        self.accepts("cli/A.cpp", "// A.\n" * source_rules.MAX_LINES)
        self.refuses("cli/A.cpp", "// A.\n" * (source_rules.MAX_LINES + 1), "401 lines")

    def test_opening_comment(self):
        self.refuses("cli/A.cpp", "int a;\n", "open with a comment")
        self.refuses("scripts/a.sh", "#!/bin/sh\ntrue\n", "open with a comment")
        self.accepts("scripts/a.sh", "#!/bin/sh\n# A.\ntrue\n")

    def test_guard(self):
        self.accepts("cli/A.h", "// A.\n#ifndef GPTQC_CLI_A_H\n#define GPTQC_CLI_A_H\n#endif\n")
        self.refuses("cli/A.h", "// A.\n#pragma once\n", "GPTQC_CLI_A_H")

    def test_words(self):
        self.refuses("README.md", "see /" + "home/me/x\n", "absolute path")
        self.refuses("README.md", "see pypi" + ".org\n", "registry")
        self.accepts("README.md", "see docs/ and build/work/x and $ROOT/" + "work/x\n")


class BinaryRules(unittest.TestCase):
    def build(self, folder, code, *options):
        source = os.path.join(folder, "a.cpp")
        with open(source, "w", encoding="utf-8") as stream:
            stream.write(code)
        os.makedirs(os.path.join(folder, "lib"))
        output = os.path.join(folder, binary_rules.RUNTIME)
        subprocess.run([COMPILER, "-shared", "-fPIC", source, "-o", output, *options], check=True)

    def found(self, code, *options):
        with tempfile.TemporaryDirectory() as folder:
            self.build(folder, code, *options)
            return "\n".join(binary_rules.offences(folder, []))

    def test_exports_and_needed(self):
        good = 'extern "C" int gptqc_a() { return 1; }\n'
        options = ["-Wl,--as-needed", "-static-libstdc++", "-static-libgcc"]
        self.assertEqual(self.found(good, *options), "")
        self.assertIn("exports other", self.found(good + 'extern "C" int other() { return 1; }', *options))
        self.assertIn("needs libstdc++", self.found(good, "-Wl,--no-as-needed"))
        self.assertIn("exports nothing", self.found("static int a;", *options))

    def test_required(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(list(binary_rules.offences(folder, ["bin/x"])), ["bin/x: not built"])

    def test_glibc(self):
        original = binary_rules.NEWEST_GLIBC
        try:
            binary_rules.NEWEST_GLIBC = (2, 1)
            code = 'extern "C" void *malloc(unsigned long); extern "C" void *gptqc_a() { return malloc(1); }'
            self.assertIn("symbol of GLIBC_2", self.found(code, "-Wl,--as-needed"))
        finally:
            binary_rules.NEWEST_GLIBC = original


if __name__ == "__main__":
    if len(sys.argv) > 1:
        COMPILER = sys.argv.pop(1)
    unittest.main()
