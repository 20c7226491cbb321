#!/usr/bin/env python3
"""Rules on the source tree: includes point downward, files are small, open with a comment, and speak of
the project alone.

    source_rules.py ROOT     prints one line per offence; exit code 1 when there is one
"""
import os
import re
import subprocess
import sys

# What each folder may include, besides itself. The longest matching folder counts.
LAYERS = {
    "runtime/core": [],
    "runtime/checkpoint": ["runtime/core"],
    "runtime/cpu": ["runtime/core"],
    "runtime/device": ["runtime/core"],
    "runtime/pack": ["runtime/core"],
    "runtime/solver": ["runtime/core", "runtime/checkpoint", "runtime/cpu", "runtime/device",
                       "runtime/model"],
    "runtime/model": ["runtime/core", "runtime/checkpoint", "runtime/cpu", "runtime/device"],
    "runtime/tokenizer": ["runtime/core", "runtime/checkpoint", "runtime/model"],
    "runtime/dispatch": ["runtime/core", "runtime/checkpoint", "runtime/cpu", "runtime/device",
                         "runtime/pack"],
    "runtime/capi": ["runtime", "gptqc"],
    "runtime": [],
    "templates": ["runtime/core", "gptqc"],
    "dialect": ["runtime/core", "mlir", "llvm"],
    "compiler": ["dialect", "templates", "runtime/core", "gptqc", "mlir", "llvm"],
    "autotune": ["compiler", "runtime"],
    "bench": ["autotune", "compiler", "runtime", "templates"],
    "python": ["cli/jobs", "compiler", "runtime"],
    "cli": ["autotune", "bench", "compiler", "runtime", "templates"],
    "tests": ["autotune", "bench", "cli", "compiler", "dialect", "templates", "runtime", "tests",
              "gptqc", "support", "mlir", "llvm"],
}
# Libraries that only some folders may see; everything below NVIDIA's driver is opened with dlopen.
FOREIGN = {
    r"(cuda|cuda_runtime|cuda_fp16|cuda_bf16|nvrtc|cublas\w*|cusolver\w*)(_api)?\.h": [],
    r"(mlir|llvm|mlir-c|llvm-c)/.*": ["dialect", "compiler", "tests/dialect", "tests/compiler",
                                      "tests/fuzz"],
    r"(pcre2|utf8proc|sentencepiece_processor)\.h": ["runtime/tokenizer"],
    r"CLI/.*": ["cli", "tests/sim"],
    r"gtest/.*": ["tests"],
    r"nanobind/.*|Python\.h": ["python"],
}
HOST_SUFFIXES = (".cpp", ".h", ".c", ".td")
DEVICE_SUFFIXES = (".cu", ".cuh")
TEXT_SUFFIXES = HOST_SUFFIXES + DEVICE_SUFFIXES + (
    ".py", ".sh", ".cmake", ".mlir", ".test", ".def", ".md", ".json", ".in", ".txt", ".yml")
MAX_LINES = 400
TYPE_DEFINITION = (r"(?:class|struct|enum class)(?: alignas\(\d+\))? (\w+)(?: final)?"
                   r"(?: :[^;]*)? \{")


def project_files(root):
    """Tracked and new files of a git checkout, else every file below root."""
    git = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-z", "-co",
                          "--exclude-standard"], cwd=root, capture_output=True, check=False)
    if git.returncode == 0 and git.stdout:
        names = git.stdout.decode().split("\0")
        return sorted({n for n in names if n and os.path.isfile(os.path.join(root, n))})
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [f for f in folders if f not in (".git", ".deps", "build")]
        found += [os.path.relpath(os.path.join(folder, n), root) for n in names]
    return sorted(found)


def is_below(path, folder):
    return path == folder or path.startswith(folder + "/")


def layer_of(path):
    folders = [f for f in LAYERS if is_below(path, f)]
    return max(folders, key=len) if folders else None


def check_includes(path, text):
    layer = layer_of(path)
    if layer is None or not path.endswith(HOST_SUFFIXES + DEVICE_SUFFIXES):
        return
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]|\s*include\s+"([^"]+)"', line)
        if not match:
            continue
        quoted, name = match.group(1) != "<", match.group(2) or match.group(3)
        where = f"{path}:{number}: includes {name}"
        for pattern, folders in FOREIGN.items():
            if re.fullmatch(pattern, name) and not any(is_below(path, f) for f in folders):
                yield f"{where}, which only {', '.join(folders) or 'dlopen'} may use"
        if quoted and not name.startswith(("mlir/", "llvm/")):
            if "/" not in name or name.startswith("."):
                yield f"{where}: write the path from the repository root"
            elif not any(is_below(name, f) for f in LAYERS[layer] + [layer]):
                yield f"{where}: {layer} may include {', '.join(LAYERS[layer]) or 'nothing else'}"


def check_size(path, text):
    lines = text.count("\n")
    code = HOST_SUFFIXES + DEVICE_SUFFIXES + (".py", ".sh", ".cmake", ".def", ".mlir")
    if lines > MAX_LINES and path.endswith(code):
        yield f"{path}: {lines} lines; split it, {MAX_LINES} is the limit"


def check_opening(path, text):
    if not path.endswith(HOST_SUFFIXES + DEVICE_SUFFIXES + (".py", ".sh", ".cmake", ".def", ".mlir")):
        return
    lines = [line for line in text.splitlines()[:2] if not line.startswith("#!")]
    if not lines or not lines[0].startswith(("//", "/*", "#", '"""')) or \
            lines[0].startswith(("#include", "#ifndef", "#pragma", "#define")):
        yield f"{path}:1: open with a comment that says what the file is for"


def check_guard(path, text):
    if path.endswith(".h"):
        guard = "GPTQC_" + re.sub(r"[^A-Z0-9]", "_", path.upper())
        if f"#ifndef {guard}\n#define {guard}\n" not in text:
            yield f"{path}: the include guard must be {guard}"


# Built from pieces, so that this file does not hold what it looks for.
FOREIGN_WORDS = [
    (r"(?<![\w.$}])/" + r"(work|home|root|mnt|workspace)/\w", "an absolute path of one machine"),
    ("pypi" + r"\.org|python" + r"hosted\.org|debian" + r"\.org|ubuntu" + r"\.com|ghcr" + r"\.io",
     "the host name of a registry"),
]


def check_words(path, text):
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, what in FOREIGN_WORDS:
            match = re.search(pattern, line)
            if match:
                yield f"{path}:{number}: '{match.group(0)}' is {what}"


def check_type_names(headers):
    """One definition rule: two types of one name in one namespace link without a word, and one of
    them gets the other's constructors."""
    first = {}
    for path, text in headers:
        namespace = ""
        for line in text.splitlines():
            opened = re.match(r"namespace ([\w:]+) \{", line)
            if opened:
                namespace = opened.group(1)
            defined = re.match(TYPE_DEFINITION, line)
            if defined:
                name = f"{namespace}::{defined.group(1)}"
                if first.setdefault(name, path) != path:
                    yield f"{path}: defines {name}, as does {first[name]}; rename one"


def offences(root):
    checks = (check_includes, check_size, check_opening, check_guard, check_words)
    headers = []
    for path in project_files(root):
        name = os.path.basename(path)
        if is_below(path, "tests/data") or \
                not (path.endswith(TEXT_SUFFIXES) or path.startswith((".ci/", "scripts/"))):
            continue
        with open(os.path.join(root, path), encoding="utf-8") as stream:
            text = stream.read()
        if path.endswith(".h") and not is_below(path, "tests"):
            headers.append((path, text))
        for check in checks:
            if name != "CMakeLists.txt" or check is check_words:
                yield from check(path, text)
    yield from check_type_names(headers)


def main():
    found = list(offences(sys.argv[1]))
    for line in found:
        print(line)
    print(f"{len(found)} offences")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
