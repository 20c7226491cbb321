# The lit suites: tests/**/*.mlir and *.test. A test runs gptqc-opt or gptqc and pipes into FileCheck.
#
# Substitutions: %models (bundled checkpoints), %t (a scratch path of the test), %s (the test itself).
import os

import lit.formats

config.name = "gptqc"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["data", "support", "Inputs", "corpus"]
config.test_source_root = os.path.join(config.gptqc_source, "tests")
config.test_exec_root = os.path.join(config.gptqc_binary, "tests")

config.substitutions.append(("%models", os.path.join(config.gptqc_source, "tests/data/models")))
# FileCheck, not, count and the tools under test, before anything of the same name on the machine.
tools = [config.gptqc_bin, os.path.dirname(config.gptqc_filecheck), config.environment.get("PATH", "")]
config.environment["PATH"] = os.pathsep.join(tools)
config.environment["FILECHECK_OPTS"] = "-enable-var-scope -dump-input=fail"
for variable in ("GPTQC_NVRTC", "CUDA_HOME", "HOME"):
    if variable in os.environ:
        config.environment[variable] = os.environ[variable]
