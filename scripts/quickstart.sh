#!/usr/bin/env bash
# The main job on the bundled model: set-up, build, then quantize a small Llama to 4 bits with GPTQ, evaluate it before
# and after, compile its layers for Hopper, and check every layer against the double-precision reference (on the GPU
# where there is one).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/common.sh

source_model=tests/data/models/docs-llama-7m
tokens=tests/data/tokens.safetensors
work=build/quickstart
model=$work/docs-llama-7m-w4g128
gptqc=build/release/bin/gptqc

build() {
  configure release && cmake --build --preset release --target gptqc -- --quiet
}

shown=0
# Prints a command as the reader would type it, runs it, and shows the two ends of a long output.
show() {
  local log rc=0
  log=$work/$2-$((++shown)).txt
  echo "\$ $*"
  "$@" >"$log" || rc=$?
  if [ "$(wc -l <"$log")" -gt 14 ]; then
    head -n 9 "$log"
    echo "... (all lines: $log)"
    tail -n 3 "$log"
  else
    cat "$log"
  fi
  return $rc
}

quantize() {
  show "$gptqc" quantize "$source_model" --bits 4 --group-size 128 --calibration "$tokens" --samples 64 -o "$model"
}
evaluate() {
  show "$gptqc" eval "$source_model" --tokens "$tokens" --rows 64 &&
    show "$gptqc" eval "$model" --tokens "$tokens" --rows 64
}
# Perplexity that eval printed last for a folder.
perplexity() { sed -n "s|^$1: perplexity \([0-9.]*\).*|\1|p" "$work"/eval-*.txt | tail -n 1; }
compile() { show "$gptqc" compile "$model" --target sm_90a --cache "$work/cache"; }
verify() { show "$gptqc" verify "$model" --m 1,16,33; } # on the GPU where there is one

phase set-up scripts/setup.sh
if ! has_compiler; then
  echo "No MLIR >= 22 here: the compiler cannot be built. Pass -DMLIR_DIR= to scripts/setup.sh." >&2
  exit 1
fi
phase build build
rm -rf "$work"
mkdir -p "$work"
phase quantize quantize
phase evaluate evaluate
phase inspect show "$gptqc" inspect "$model"
phase compile compile
phase verify verify

echo "== done"
phase_table
echo
printf '   %-12s %14s %12s\n' model 'weights, bytes' perplexity
for folder in "$source_model" "$model"; do
  printf '   %-12s %14s %12s\n' "$([ "$folder" = "$model" ] && echo '4-bit GPTQ' || echo original)" \
    "$(stat -c %s "$folder"/model.safetensors)" "$(perplexity "$folder")"
done
echo "   quantized model: $model"
