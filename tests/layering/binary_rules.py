#!/usr/bin/env python3
"""Rules on what a build tree holds: binaries need libc and libm alone, no symbol above GLIBC_2.35, and
the runtime library exports its C interface only.

    binary_rules.py BUILD REQUIRED...   REQUIRED: binaries, relative to BUILD, that must be there
"""
import os
import re
import subprocess
import sys

ALLOWED = re.compile(r"(libc|libm|libdl|librt|libpthread)\.so\.\d+|ld-linux[\w-]*\.so\.\d+|libgptqc_(runtime|compiler)\.so")
# The plugin exists to link SentencePiece, and shares its libstdc++.
PLUGIN = "libgptqc_sentencepiece.so"
ALLOWED_OF_PLUGIN = re.compile(r"libsentencepiece\.so\.\d+|libstdc\+\+\.so\.\d+|libgcc_s\.so\.\d+")
NEWEST_GLIBC = (2, 35)
RUNTIME = "lib/libgptqc_runtime.so"
INTERFACES = (RUNTIME, "lib/libgptqc_compiler.so")


def readelf(path, *options):
    return subprocess.run(["readelf", "-W", *options, path], check=True, capture_output=True,
                          text=True).stdout


def check_needed(path):
    for name in needed(path):
        plugin = os.path.basename(path) == PLUGIN and ALLOWED_OF_PLUGIN.fullmatch(name)
        if not ALLOWED.fullmatch(name) and not plugin:
            yield f"{path}: needs {name}; link it statically or open it with dlopen"


def check_glibc(path):
    for version in sorted(set(re.findall(r"Name: GLIBC_([\d.]+)", readelf(path, "-V")))):
        if tuple(int(part) for part in version.split(".")) > NEWEST_GLIBC:
            yield f"{path}: needs a symbol of GLIBC_{version}; cmake/LibcCompat.c replaces such symbols"


def needed(path):
    return re.findall(r"\(NEEDED\).*\[(.+)\]", readelf(path, "-d"))


def exports(path):
    found = []
    for line in readelf(path, "--dyn-syms").splitlines():
        fields = line.split()
        if len(fields) >= 8 and fields[4] in ("GLOBAL", "WEAK", "UNIQUE") and fields[6] != "UND":
            found.append(fields[7].split("@")[0])
    return found


def check_exports(path):
    exported = exports(path)
    for name in exported:
        if not name.startswith("gptqc_"):
            yield f"{path}: exports {name}; only gptqc_* is the interface"
    if not exported:
        yield f"{path}: exports nothing"


def is_elf(path):
    if os.path.islink(path) or not os.path.isfile(path):
        return False
    with open(path, "rb") as stream:
        return stream.read(4) == b"\x7fELF"


def offences(build, required):
    for name in required:
        if not os.path.exists(os.path.join(build, name)):
            yield f"{name}: not built"
    for folder in ("bin", "lib", "python/gptqc", "tests/bin"):
        folder = os.path.join(build, folder)
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            path = os.path.join(folder, name)
            if is_elf(path):
                yield from check_needed(path)
                yield from check_glibc(path)
    for name in INTERFACES:
        if os.path.exists(os.path.join(build, name)):
            yield from check_exports(os.path.join(build, name))


def describe(path):
    """What a host that links the library takes on."""
    code = sum(int(row.split()[5], 16) for row in readelf(path, "-l").splitlines() if row.split()[:1] == ["LOAD"])
    return f"{path}: {code} bytes in memory, needs {', '.join(needed(path))}, {len(exports(path))} symbols"


def main():
    for name in INTERFACES:
        if os.path.exists(os.path.join(sys.argv[1], name)):
            print(describe(os.path.join(sys.argv[1], name)))
    found = list(offences(sys.argv[1], sys.argv[2:]))
    for line in found:
        print(line)
    print(f"{len(found)} offences")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
