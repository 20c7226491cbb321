#!/usr/bin/env python3
"""Writes OUT/compile_commands.json for clang-tidy from the release and asan trees below BUILD.

Each file that CMake joined with others has an entry of its own; options that name GCC's precompiled headers are
left out. Reads file names from stdin, one a line, and
prints the C++ files that the database holds, in their order.

    compile_database.py BUILD OUT < names
"""
import json
import os
import re
import sys


def sources_of(path: str) -> list:
    """The files that a joined one includes, or the file itself."""
    if not re.search(r"/Unity/unity_\d+_cxx\.cxx$", path) or not os.path.exists(path):
        return [path]
    with open(path, encoding="utf-8") as stream:
        return re.findall(r'^#include "(/.*\.cpp)"', stream.read(), re.M)


def main() -> int:
    build, out = sys.argv[1:3]
    entries = {}
    for tree in ("asan", "release"):  # release wins
        path = os.path.join(build, tree, "compile_commands.json")
        if not os.path.exists(path):
            continue
        with open(path, encoding="utf-8") as stream:
            for entry in json.load(stream):
                command = re.sub(r" (-Winvalid-pch|-include \S*cmake_pch\S*)", "", entry["command"])
                command = re.sub(r"^\S*ccache ", "", command)
                if "-fsanitize=thread" in command:  # kernels for the simulated GPU: no host C++
                    continue
                joined = os.path.join(entry["directory"], entry["file"])
                for source in sources_of(joined):
                    own = command if source == joined else command.replace(entry["file"], source)
                    entries[os.path.realpath(source)] = {**entry, "command": own, "file": source}
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, "compile_commands.json"), "w", encoding="utf-8") as stream:
        json.dump(list(entries.values()), stream, indent=1)
    for name in sys.stdin.read().split("\n"):
        if name.endswith(".cpp") and os.path.realpath(name) in entries:
            print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
