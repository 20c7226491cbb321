#!/usr/bin/env python3
"""Perplexity of the bundled models after quantization, beside the original GPTQ implementation's.

    quality.py --gptqc build/release/bin/gptqc                     all configurations -> bench/results/quality.md
    quality.py --gptqc ... --check --rows 64 --config b4g128s,b3g128a_act

With --check nothing is written; the exit code is 1 when a perplexity is more than 0.5 % above what it should be: the
original's on all rows, else the recorded one on the first 64 rows.
"""
import argparse
import concurrent.futures
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RESULTS = os.path.join(ROOT, "bench", "results", "quality.md")
SHORT_ROWS = 64
TOLERANCE = 1.005

# b<bits>g<group><s|a>[_act] -> (round to nearest, original GPTQ): perplexity on 512 rows, fp32. The original ran layer
# by layer on 128 x 512 tokens, inputs from the quantized layers before, damping 0.01, one pass per block.
REFERENCE = {
    "docs-llama-7m": {
        "dense": 10.4292, "b4g128s": (10.928, 10.737), "b4g128a": (10.848, 10.690), "b4g128s_act": (10.928, 10.737),
        "b4g-1s": (11.052, 10.845), "b4g32s": (10.811, 10.622), "b3g128s": (13.477, 12.249),
        "b3g128a_act": (12.858, 11.791), "b3g32a": (11.767, 11.288), "b2g64a": (40.968, 24.278),
        "b2g32a_act": (27.823, 18.632), "b8g128s": (10.431, 10.430)},
    "docs-opt-5m": {
        "dense": 10.3142, "b4g128s": (11.286, 10.749), "b4g128a": (10.985, 10.692), "b4g128s_act": (11.286, 10.730),
        "b4g-1s": (11.736, 10.950), "b4g32s": (11.012, 10.605), "b3g128s": (17.182, 12.880),
        "b3g128a_act": (15.383, 12.152), "b3g32a": (12.906, 11.379), "b2g64a": (106.320, 31.974),
        "b2g32a_act": (52.555, 21.295), "b8g128s": (10.314, 10.314)},
}


def options_of(config):
    bits, group, kind, act = re.fullmatch(r"b(\d)g(-?\d+)([sa])(_act)?", config).groups()
    options = ["--bits", bits, "--group-size", group]
    return options + ["--asym"] * (kind == "a") + ["--act-order"] * bool(act)


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr.strip()}")
    return done.stdout


def threads(arguments):
    return ["--threads", str(max(1, os.cpu_count() // arguments.jobs))]


def perplexity(arguments, folder, rows):
    command = [arguments.gptqc, "eval", folder, "--tokens", arguments.tokens, "--json", *threads(arguments)]
    if rows:
        command += ["--rows", str(rows)]
    return json.loads(run(command))["perplexity"]


def measure(arguments, model, config, work, rows):
    """Seconds of quantize, and the perplexity for each number of rows; of the source itself for `dense`."""
    if config == "dense":
        return 0, [perplexity(arguments, os.path.join(arguments.models, model), r) for r in rows]
    source, target = os.path.join(arguments.models, model), os.path.join(work, f"{model}-{config}")
    start = time.monotonic()
    run([arguments.gptqc, "quantize", source, "--calibration", arguments.tokens, "--force", "-o", target,
         "--device", arguments.device, *threads(arguments), *options_of(config), *arguments.extra])
    seconds = time.monotonic() - start
    return seconds, [perplexity(arguments, target, r) for r in rows]


def recorded(model, config):
    """What quality.md says about the first 64 rows."""
    with open(RESULTS, encoding="utf-8") as stream:
        section = stream.read().split(f"## {model}")[1]
    row = re.search(rf"^\| `{re.escape(config)}` \|.*\| ([\d.]+) \| [\d.]+ \|$", section, re.M)
    return float(row.group(1))


def check(arguments, pool):
    failed = False
    jobs = {(m, c): pool(m, c, [arguments.rows]) for m in REFERENCE for c in arguments.config}
    for (model, config), job in jobs.items():
        seconds, (value,) = job.result()
        limit = REFERENCE[model][config][1] if not arguments.rows else recorded(model, config)
        good = value <= limit * TOLERANCE
        failed |= not good
        print(f"{model} {config}: {value:.3f}, should be {limit:.3f} ({value / limit - 1:+.2%}), quantized in "
              f"{seconds:.1f} s{'' if good else '  TOO HIGH'}", flush=True)
    return 1 if failed else 0


def table(arguments, pool):
    lines = ["# Quality of quantized models", "",
             f"Written by `bench/quality.py` on {datetime.date.today()}, --device {arguments.device}"
             f"{' ' + ' '.join(arguments.extra) if arguments.extra else ''}: perplexity on 512 held-out rows, fp32. "
             "`original`: the original GPTQ implementation on the same calibration tokens (128 x 512, damping 0.01); "
             "gptqc must be within 0.5 % of it or better. Names: bits, group size, symmetric or asymmetric, act-order.",
             ""]
    worst = -1.0
    rows = [0, SHORT_ROWS]
    jobs = {(m, c): pool(m, c, rows) for m in REFERENCE for c in ["dense", *arguments.config]}
    for model, reference in REFERENCE.items():
        dense = jobs[model, "dense"].result()[1]
        lines += [f"## {model}: unquantized {dense[0]:.4f} (first {SHORT_ROWS} rows {dense[1]:.4f})", "",
                  "| configuration | round to nearest | original | gptqc | against original | first 64 rows | seconds |",
                  "|---|---|---|---|---|---|---|"]
        for config in arguments.config:
            nearest, original = reference[config]
            seconds, (full, short) = jobs[model, config].result()
            worst = max(worst, full / original - 1)
            lines.append(f"| `{config}` | {nearest:.3f} | {original:.3f} | {full:.3f} | {full / original - 1:+.2%} | "
                         f"{short:.4f} | {seconds:.1f} |")
            print(model, lines[-1], flush=True)
        lines.append("")
    lines.append(f"Largest excess over the original: {worst:+.2%}. Seconds are those of `quantize` with "
                 f"{threads(arguments)[1]} threads.")
    with open(arguments.output, "w", encoding="utf-8") as stream:
        stream.write("\n".join(lines) + "\n")
    print(f"{arguments.output}: largest excess over the original {worst:+.2%}")
    return 0 if worst <= TOLERANCE - 1 else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    data = os.path.join(ROOT, "tests", "data")
    parser.add_argument("--gptqc", default=os.path.join(ROOT, "build", "release", "bin", "gptqc"))
    parser.add_argument("--models", default=os.path.join(data, "models"))
    parser.add_argument("--tokens", default=os.path.join(data, "tokens.safetensors"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--config", type=lambda text: text.split(","), help="comma-separated; default: all")
    parser.add_argument("--rows", type=int, default=0, help="with --check: 0 (all) or 64")
    parser.add_argument("--jobs", type=int, default=1, help="models at a time; they share the cores")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--output", default=RESULTS)
    parser.add_argument("extra", nargs="*", help="after --: more options of gptqc quantize, e.g. --group-refresh")
    arguments = parser.parse_args()
    arguments.config = arguments.config or [c for c in REFERENCE["docs-llama-7m"] if c != "dense"]
    with tempfile.TemporaryDirectory() as work, \
            concurrent.futures.ThreadPoolExecutor(arguments.jobs) as executor:
        def pool(model, config, rows):
            return executor.submit(measure, arguments, model, config, work, rows)
        return (check if arguments.check else table)(arguments, pool)


if __name__ == "__main__":
    sys.exit(main())
