#!/usr/bin/env python3
"""What the assembler made of kernels: compiles the defaults of a list and counts tensor core instructions.

    bench/sass.py GPTQC --descriptors bench/inputs/targets.txt --from 64

A wgmma schedule without HGMMA, the warpgroup product of sm_90a, is an error. Needs NVRTC and cuobjdump, no GPU.
"""
import argparse
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

INSTRUCTION = re.compile(r"^\s+/\*([0-9a-f]+)\*/\s+(.*?);", re.M)
BRANCH = re.compile(r"\bBRA\b.*\b0x([0-9a-f]+)")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gptqc", help="the tool")
    parser.add_argument("--descriptors", required=True, help="a file, one descriptor a line")
    parser.add_argument("--from", dest="least", type=int, default=1, help="only ranges that reach so many tokens")
    parser.add_argument("--target", default="sm_90a", help="GPU to compile for")
    parser.add_argument("--cuobjdump", default="cuobjdump", help="the disassembler")
    return parser.parse_args()


def read_descriptors(path, least):
    lines = [line.split("#")[0].strip() for line in Path(path).read_text().splitlines()]
    return [line for line in lines if line and int(re.search(r"\.\.(\d+)", line).group(1)) >= least]


def run(*command):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: rc {result.returncode}: {result.stdout.strip()}")
    return result.stdout


def count_products(sass):
    """HGMMA instructions: all, and those between the target of a branch backwards and the branch."""
    products, loops = [], []
    for address, text in INSTRUCTION.findall(sass):
        at, branch = int(address, 16), BRANCH.search(text)
        if "HGMMA" in text:
            products.append(at)
        if branch and int(branch.group(1), 16) < at:
            loops.append((int(branch.group(1), 16), at))
    return len(products), sum(any(begin <= at <= end for begin, end in loops) for at in products)


def inspect(arguments, descriptor, cubin):
    """A row of the table: descriptor, schedule, HGMMA, those in loops, registers."""
    compile_it = (arguments.gptqc, "compile", "--descriptor", descriptor, "--target", arguments.target)
    report = run(*compile_it)
    run(*compile_it, "--emit=cubin", "-o", str(cubin))
    fact = lambda name: re.search(rf"^{name}\s+(.*)$", report, re.M).group(1)
    return (descriptor, fact("schedule"), *count_products(run(arguments.cuobjdump, "-sass", str(cubin))), fact("registers"))


def main():
    arguments = parse_arguments()
    descriptors = read_descriptors(arguments.descriptors, arguments.least)
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor() as pool:
        cubins = [Path(scratch) / f"{i}.cubin" for i in range(len(descriptors))]
        try:
            rows = list(pool.map(lambda pair: inspect(arguments, *pair), zip(descriptors, cubins)))
        except (RuntimeError, OSError) as error:
            sys.exit(f"sass: {error}")
    print(f"# {'descriptor':46}  {'schedule':52}  HGMMA  in loops  registers")
    for descriptor, schedule, products, looped, registers in rows:
        print(f"{descriptor:48}  {schedule:52}  {products:5}  {looped:8}  {registers:>9}")
    wgmma = [row for row in rows if row[1].startswith("wgmma")]
    empty = [row[0] for row in wgmma if row[2] == 0]
    if empty or not rows:
        sys.exit(f"sass: wgmma schedules without HGMMA: {', '.join(empty)}" if empty else "sass: no descriptor")
    print(f"{len(rows)} kernels, {len(wgmma)} of them wgmma with HGMMA in each")


if __name__ == "__main__":
    main()
