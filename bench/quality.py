#!/usr/bin/env python3
"""Perplexity of the bundled models after quantization, beside the original GPTQ implementation's.

    quality.py --gptqc build/release/bin/gptqc    all configurations -> bench/results/quality.md
    quality.py --table                            the table of what is measured
    quality.py --gptqc ... --check                two of them on 64 rows
    quality.py --gptqc ... --orders 16            those above the limit, with the calibration rows in 16 other orders

A run is one draw: another order of the calibration rows changes Hessians in their last bits alone, and at 3 and 2 bits
the perplexity by more than the limit of 0.5 %. Where a draw is above it, --orders draws again, and the mean of the new
draws decides (the first one, being chosen for its height, is not among them); the table has both. The exit code is 1 when
a configuration is above the limit in its only draw, or in the mean of at least 8.

Each result is noted in bench/results/quality.jsonl (--keep), and what is there is not measured again: a run can be
interrupted; delete the file to begin anew. --device cuda measures the same once more on the GPU, for the table's other
column. With --check nothing is written; the exit code is 1 when a perplexity is more than 0.5 % above the recorded one.
"""
import argparse
import concurrent.futures
import datetime
import json
import os
import random
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RESULTS = os.path.join(ROOT, "bench", "results", "quality.md")
KEPT = os.path.join(ROOT, "bench", "results", "quality.jsonl")
SHORT_ROWS = 64
TOLERANCE = 1.005
DEVICES = {"cpu": "CPU", "cuda": "GPU"}
CHECKED = [("docs-llama-7m", "b4g128s"), ("docs-opt-5m", "b3g128a_act")]
ENOUGH_ORDERS = 8

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
    return ["--threads", str(arguments.threads)]


def perplexity(arguments, folder, rows):
    command = [arguments.gptqc, "eval", folder, "--tokens", arguments.tokens, "--json", "--device", arguments.device,
               *threads(arguments)]
    if rows:
        command += ["--rows", str(rows)]
    return json.loads(run(command))["perplexity"]


def in_order(tokens, order, work):
    """The file with its calibration rows, tensor input_ids, in another order; order 0 is the file's own."""
    if order == 0:
        return tokens
    path = os.path.join(work, f"order-{order}.safetensors")
    with open(tokens, "rb") as stream:
        header = json.loads(stream.read(struct.unpack("<Q", stream.read(8))[0]))
        data = stream.read()
    info = header["input_ids"]
    begin, end = info["data_offsets"]
    size = (end - begin) // info["shape"][0]
    rows = [data[at:at + size] for at in range(begin, end, size)]
    random.Random(order).shuffle(rows)
    text = json.dumps({"input_ids": {**info, "data_offsets": [0, end - begin]}}).encode()
    text += b" " * (-len(text) % 8)
    temporary = f"{path}.{threading.get_ident()}"
    with open(temporary, "wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text + b"".join(rows))
    os.replace(temporary, path)
    return path


def measure(arguments, model, config, work, rows, order=0):
    """Seconds of quantize, and the perplexity for each number of rows (0: all); of the source itself for `dense`."""
    source, target = os.path.join(arguments.models, model), os.path.join(work, f"{model}-{config}-{order}")
    seconds = 0
    if config == "dense":
        target = source
    else:
        start = time.monotonic()
        run([arguments.gptqc, "quantize", source, "--calibration", in_order(arguments.tokens, order, work), "--force", "-o", target,
             "--device", arguments.device, *threads(arguments), *options_of(config), *arguments.extra])
        seconds = time.monotonic() - start
    entry = {"model": model, "config": config, "device": arguments.device, "seconds": seconds,
             "perplexity": {str(r): perplexity(arguments, target, r) for r in rows}}
    return {**entry, "order": order} if order else entry


def kept(arguments):
    if not os.path.exists(arguments.keep):
        return {}
    with open(arguments.keep, encoding="utf-8") as stream:
        return {(entry["model"], entry["config"], entry["device"], entry.get("order", 0)): entry
                for entry in map(json.loads, stream)}


def recorded(model, config):
    """What quality.md says about the first 64 rows."""
    with open(RESULTS, encoding="utf-8") as stream:
        section = stream.read().split(f"## {model}")[1]
    row = re.search(rf"^\| `{re.escape(config)}` \|.*\| ([\d.]+) \|$", section, re.M)
    return float(row.group(1))


def check(arguments, work):
    failed = False
    for model, config in CHECKED:
        entry = measure(arguments, model, config, work, [SHORT_ROWS])
        value, limit = entry["perplexity"][str(SHORT_ROWS)], recorded(model, config)
        good = value <= limit * TOLERANCE
        failed |= not good
        print(f"{model} {config}: {value:.4f}, should be {limit:.4f} ({value / limit - 1:+.2%}), quantized in "
              f"{entry['seconds']:.1f} s{'' if good else '  TOO HIGH'}", flush=True)
    return 1 if failed else 0


def measure_all(arguments, work):
    """All entries that are not kept yet, the checked ones first; then other orders where they count."""
    entries = kept(arguments)
    configs = arguments.config + ["dense"] * (not arguments.orders)
    wanted = [(model, config, 0) for config in configs for model in arguments.model]
    if arguments.orders:
        wanted = [(model, config, order) for order in range(1, arguments.orders + 1) for model, config, _ in wanted
                  if arguments.any or excess_of(entries, model, config, arguments.device) > TOLERANCE - 1]
    wanted = [(model, config, order) for model, config, order in wanted
              if (model, config, arguments.device, order) not in entries]
    wanted.sort(key=lambda what: what[:2] not in CHECKED)

    def measured(what):
        model, config, order = what
        rows = [0, SHORT_ROWS] if (model, config) in CHECKED and not order else [0]
        return measure(arguments, model, config, work, rows, order)

    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for done in concurrent.futures.as_completed([pool.submit(measured, pair) for pair in wanted]):
            line = json.dumps(done.result())
            print(line, flush=True)
            with open(arguments.keep, "a", encoding="utf-8") as stream:
                stream.write(line + "\n")
    return kept(arguments)


def perplexity_of(entries, model, config, device, order=0):
    entry = entries.get((model, config, device, order))
    return entry["perplexity"]["0"] if entry else None


def excess_of(entries, model, config, device, order=0):
    """Over the original; below everything where nothing was measured."""
    value = perplexity_of(entries, model, config, device, order)
    return value / REFERENCE[model][config][1] - 1 if value else -1


def excesses_in_orders(entries, model, config, device):
    return [excess_of(entries, model, config, device, order) for *what, order in sorted(entries)
            if tuple(what) == (model, config, device) and order]


def cell(value, original):
    return f"{value:.3f} ({value / original - 1:+.2%})" if value else "not measured"


def orders_row(model, config, name, single, again):
    deviation = statistics.stdev(again) if len(again) > 1 else float("nan")
    return (f"| {model} | `{config}` | {name} | {single:+.2%} | {len(again)} | {statistics.mean(again):+.2%} | "
            f"{deviation / len(again) ** 0.5:.2%} | {deviation:.2%} | {min(again):+.2%} to {max(again):+.2%} |")


def table(arguments, work):
    entries = kept(arguments) if arguments.table else measure_all(arguments, work)
    excess, above, drawn = [], [], []
    lines = ["# Quality of quantized models", "",
             f"Written by `bench/quality.py` on {datetime.date.today()}"
             f"{', ' + ' '.join(arguments.extra) if arguments.extra else ''}: perplexity on 512 held-out rows. "
             "`original`: the original GPTQ implementation on the same calibration tokens (128 x 512, damping 0.01); "
             "gptqc must be within 0.5 % of it or better (below: in the mean of several draws where one is not), quantized and evaluated on the CPU (fp32) and on the GPU "
             "(fp16, generated kernels). Names: bits, group size, symmetric or asymmetric, act-order. "
             f"Tests repeat what has a value for the first {SHORT_ROWS} rows.", ""]
    for model, reference in REFERENCE.items():
        dense = ", ".join(f"{perplexity_of(entries, model, 'dense', device) or float('nan'):.4f} on the {name}"
                          for device, name in DEVICES.items())
        lines += [f"## {model}: unquantized {dense}, by the reference {reference['dense']:.4f}", "",
                  f"| configuration | round to nearest | original | gptqc, CPU | gptqc, GPU | first {SHORT_ROWS} rows |",
                  "|---|---|---|---|---|---|"]
        for config in arguments.config:
            nearest, original = reference[config]
            values = [perplexity_of(entries, model, config, device) for device in DEVICES]
            excess += [value / original - 1 for value in values if value]
            for device, name in DEVICES.items():
                single, again = excess_of(entries, model, config, device), excesses_in_orders(entries, model, config, device)
                if again:
                    drawn.append(orders_row(model, config, name, single, again))
                enough = len(again) >= ENOUGH_ORDERS
                if single > TOLERANCE - 1 and not (enough and statistics.mean(again) <= TOLERANCE - 1):
                    above.append(f"{model} {config} on the {name}")
            short = entries.get((model, config, "cpu", 0), {"perplexity": {}})["perplexity"].get(str(SHORT_ROWS))
            cells = " | ".join(cell(value, original) for value in values)
            lines.append(f"| `{config}` | {nearest:.3f} | {original:.3f} | {cells} | {f'{short:.4f}' if short else ''} |")
        lines.append("")
    if drawn:
        lines += ["## Calibration rows in other orders", "",
                  "The same rows give the same Hessians but for the last bits of their sums. What that changes is noise, and "
                  "the original's own perplexity is one such draw. Where the draw above is more than 0.5 % over the original, "
                  "the mean of these draws decides, the one above not among them.", "",
                  "| model | configuration | on the | draw above | orders | mean | standard error | one draw's deviation | range |",
                  "|---|---|---|---|---|---|---|---|---|", *drawn, ""]
    worst = max(excess)
    lines.append(f"Largest excess over the original in one draw: {worst:+.2%}. Above the limit: {', '.join(above) or 'none'}.")
    with open(arguments.output, "w", encoding="utf-8") as stream:
        stream.write("\n".join(lines) + "\n")
    print(f"{arguments.output}: {lines[-1]}")
    return 1 if above else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    data = os.path.join(ROOT, "tests", "data")
    parser.add_argument("--gptqc", default=os.path.join(ROOT, "build", "release", "bin", "gptqc"))
    parser.add_argument("--models", default=os.path.join(data, "models"))
    parser.add_argument("--tokens", default=os.path.join(data, "tokens.safetensors"))
    parser.add_argument("--device", choices=DEVICES, default="cpu")
    parser.add_argument("--jobs", type=int, default=1, help="configurations at a time")
    parser.add_argument("--config", type=lambda text: text.split(","), help="comma-separated; default: all")
    parser.add_argument("--model", type=lambda text: text.split(","), default=list(REFERENCE))
    parser.add_argument("--orders", type=int, default=0, help="of calibration rows besides the file's own; see above")
    parser.add_argument("--any", action="store_true", help="with --orders: also where no draw is above the limit")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--keep", default=KEPT, help="file of results so far")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--output", default=RESULTS)
    parser.add_argument("extra", nargs="*", help="after --: more options of gptqc quantize, e.g. --group-refresh")
    arguments = parser.parse_args()
    arguments.config = arguments.config or [c for c in REFERENCE["docs-llama-7m"] if c != "dense"]
    with tempfile.TemporaryDirectory() as work:
        return (check if arguments.check else table)(arguments, work)


if __name__ == "__main__":
    sys.exit(main())
