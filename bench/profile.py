#!/usr/bin/env python3
"""Hardware counters of kernels: runs `gptqc bench --profile` under Nsight Compute and writes a table.

    bench/profile.py GPTQC --descriptors bench/inputs/targets.txt --m 1,16,64 -o bench/results/h200-profile.txt

Every kernel runs once with cold caches and at the clocks that the GPU takes (no other run, hence no
power cap): times are for orientation, ratios of pipes and memory are what counts. Needs ncu and the
right to read counters.
"""
import argparse
import csv
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SECTIONS = ("ComputeWorkloadAnalysis", "LaunchStats", "MemoryWorkloadAnalysis", "SchedulerStats", "SpeedOfLight",
            "WarpStateStats")
STALL = re.compile(r"smsp__average_warps_issue_stalled_(\w+?)(_not_issued)?_per_issue_active\.ratio")
TENSOR = "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_active"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gptqc", help="the tool")
    parser.add_argument("--descriptors", required=True, help="a file, one descriptor a line")
    parser.add_argument("--m", help="token counts, as for bench")
    parser.add_argument("--tuned", help="tuning records to take schedules from")
    parser.add_argument("--no-dense", action="store_true", help="without cuBLASLt")
    parser.add_argument("--ncu", default="ncu", help="Nsight Compute's command line")
    parser.add_argument("--keep", help="a folder for ncu's output; what is there is not measured again")
    parser.add_argument("-o", "--output", required=True, help="the table to write")
    return parser.parse_args()


def profile(arguments, log):
    """Runs the tool under ncu; what it printed, a line for each point."""
    command = [arguments.ncu, "--csv", "--page", "raw", "--log-file", str(log), "--profile-from-start", "off",
               "--clock-control", "none"]
    for section in SECTIONS:
        command += ["--section", section]
    command += [arguments.gptqc, "bench", "--profile", "--descriptors", arguments.descriptors]
    for option, value in (("--m", arguments.m), ("--tuned", arguments.tuned)):
        if value:
            command += [option, value]
    if arguments.no_dense:
        command.append("--no-dense")
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if result.returncode != 0:
        sys.exit(f"profile: {arguments.gptqc} failed (rc {result.returncode}):\n{result.stdout}")
    return result.stdout


def measure(arguments, folder):
    """ncu's table and the tool's lines, from files of the folder."""
    log, points = folder / "ncu.csv", folder / "points.txt"
    if not points.exists():
        if not shutil.which(arguments.ncu):
            sys.exit(f"profile: {arguments.ncu} not found; install Nsight Compute or name it with --ncu")
        points.write_text(profile(arguments, log))
    return log, points.read_text().splitlines()


def read_counters(log):
    """The rows of ncu's table: one dictionary for each kernel, numbers as float, times in seconds."""
    lines = [line for line in log.read_text().splitlines() if line.startswith('"')]
    if not lines:
        sys.exit(f"profile: ncu measured nothing:\n{log.read_text()}")
    rows = list(csv.reader(lines))
    head, units = rows[0], rows[1]
    seconds_of = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1}
    kernels = []
    for row in rows[2:]:
        kernel = {}
        for name, unit, text in zip(head, units, row):
            try:
                kernel[name] = float(text.replace(",", "")) * seconds_of.get(unit, 1)
            except ValueError:
                kernel[name] = text
        kernels.append(kernel)
    return kernels


def points_of(lines, kernels):
    """(text, our kernels, cuBLASLt's kernels) of each point: a layer's kernel follows those that prepare its input."""
    texts = [line for line in lines if line.count(" | ") == 2]
    groups, ours, dense = [], [], []
    for kernel in kernels:
        own = kernel["Kernel Name"].startswith("gptqc")
        if own and any(k["Kernel Name"].startswith("gptqc_linear") for k in ours):
            groups.append((ours, dense))
            ours, dense = [], []
        (ours if own else dense).append(kernel)
    if ours:
        groups.append((ours, dense))
    if len(groups) != len(texts):
        sys.exit(f"profile: {len(texts)} points, but kernels of {len(groups)}")
    return [(text, *group) for text, group in zip(texts, groups)]


def seconds(kernels):
    return sum(k["gpu__time_duration.sum"] for k in kernels)


def stalls(kernel):
    """The three reasons for which warps waited longest, in warps an issued instruction."""
    found = {m.group(1): v for name, v in kernel.items() if (m := STALL.fullmatch(name)) and isinstance(v, float)}
    total = sum(found.values()) or 1
    most = sorted(found.items(), key=lambda item: -item[1])[:3]
    return ", ".join(f"{name} {100 * value / total:.0f}" for name, value in most)


def row(text, ours, dense):
    descriptor, m, schedule = text.split(" | ")
    kernel = ours[-1]
    value = lambda name: kernel.get(name, float("nan"))
    cells = [f"{descriptor:52}", f"{m:>5}", f"{seconds(ours) * 1e6:8.2f}",
             f"{value('gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed'):5.1f}",
             f"{value('lts__throughput.avg.pct_of_peak_sustained_elapsed'):5.1f}",
             f"{value('smsp__issue_active.avg.pct_of_peak_sustained_active'):6.1f}",
             f"{value('smsp__warps_eligible.avg.per_cycle_active'):5.2f}",
             f"{value('sm__inst_executed_pipe_alu.avg.pct_of_peak_sustained_active'):5.1f}",
             f"{value(TENSOR):7.1f}"]
    if dense:
        cells += [f"{seconds(dense) * 1e6:9.2f}", f"{max(k[TENSOR] for k in dense):7.1f}"]
    else:
        cells += [f"{'-':>9}", f"{'-':>7}"]
    return "  ".join(cells + [f"{stalls(kernel):60}", schedule])


def main():
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(arguments.keep or scratch)
        folder.mkdir(parents=True, exist_ok=True)
        log, lines = measure(arguments, folder)
        kernels = read_counters(log)
    # Nothing is timed for so many milliseconds here.
    table = [re.sub("about .* of timed work a point, ", "", line) for line in lines if line.startswith("#")]
    table += ["# one run of each kernel, cold caches, clocks as they come; percent of the peak while SMs are active",
              "# (memory: of the whole time); eligible: warps a scheduler and cycle; stalls: shares of the waiting warps, %",
              "# descriptor | m | us | DRAM | L2 | issue | eligible | ALU | tensor | cuBLASLt us | its tensor | stalls | schedule"]
    table += [row(*point) for point in points_of(lines, kernels)]
    text = "\n".join(table) + "\n"
    print(text, end="")
    Path(arguments.output).write_text(text)


if __name__ == "__main__":
    main()
