#!/usr/bin/env python3
"""Packs the wheel from a build tree, installs it into a fresh environment, and runs the tests that need no torch
there.

    run_wheel.py SOURCE BUILD
"""
import contextlib
import glob
import os
import subprocess
import sys
import tempfile
import time
import venv


def run(*command, **options):
    start = time.monotonic()
    subprocess.run(command, check=True, **options)
    print(f"-- {time.monotonic() - start:.1f} s: {os.path.basename(command[0])} {' '.join(command[1:4])} ...",
          flush=True)


class Environment:
    """A virtual environment whose packages come from `wheels` alone."""

    def __init__(self, folder, wheels):
        self.folder, self.python = folder, os.path.join(folder, "bin", "python")
        if not os.path.exists(self.python):  # the builder is there when the tests run again
            venv.create(folder, with_pip=True)
        self.offline = ("-q", "--no-index", "--find-links", wheels, "--disable-pip-version-check")

    def install(self, *packages):
        run(self.python, "-m", "pip", "install", *self.offline, *packages)


def pack(source, build, builder, folder):
    """The wheel, from the objects that the tree has."""
    settings = (f"build-dir={build}", "cmake.define.GPTQC_TESTS=ON")
    options = [f"--config-settings={setting}" for setting in settings]  # pip 23.0 has no -C
    try:
        run(builder.python, "-m", "pip", "wheel", "-q", "--disable-pip-version-check", "--no-deps",
            "--no-build-isolation", *options, "-w", folder, source)
    finally:  # scikit-build-core would empty the tree when it comes back from another environment
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(build, ".skbuild-info.json"))
    return glob.glob(os.path.join(folder, "gptqc-*.whl"))[0]


def main():
    source, build = (os.path.abspath(path) for path in sys.argv[1:3])
    wheels = os.path.join(source, ".deps", "python", "wheels")
    with tempfile.TemporaryDirectory(prefix="gptqc-python-") as folder:
        # Stays: the build tree remembers this interpreter.
        builder = Environment(os.path.join(build, "python", "builder"), wheels)
        builder.install("scikit-build-core", "nanobind")
        wheel = pack(source, build, builder, folder)
        fresh = Environment(os.path.join(folder, "fresh"), wheels)
        fresh.install(wheel, "safetensors")
        size = os.path.getsize(wheel)
        print(f"{os.path.basename(wheel)}: {size} bytes", flush=True)
        nvrtc = os.path.join(source, ".deps", "nvrtc")
        environment = dict(os.environ, PATH=os.path.join(fresh.folder, "bin") + os.pathsep + os.environ["PATH"],
                           GPTQC_CACHE_DIR=os.path.join(folder, "cache"), PYTHONNOUSERSITE="1",
                           GPTQC_TEST_DATA=os.path.join(source, "tests", "data"))
        if os.path.isdir(nvrtc):
            environment["GPTQC_NVRTC"] = nvrtc
        run(fresh.python, "-m", "unittest", "discover", "-s", os.path.join(source, "python", "tests"), "-v",
            cwd=folder, env=environment)


if __name__ == "__main__":
    main()
