#!/usr/bin/env bash
# Builds the fuzz targets (the asan tree, with clang and libFuzzer) and runs them, two at a time, on a copy of their corpora:
# each a fixed number of inputs with a fixed seed, the same in every run (and at most 20 seconds, where the
# machine is slow), or with --seconds for so long with another seed each time. Without clang it says so and
# runs the mutator of IR alone, where the release tree has it.
#
#   scripts/fuzz.sh [--seconds N] [--no-build] [TARGET...]
#
# Finds are kept in build/fuzz-findings, what the run added to a corpus in build/fuzz-corpus/TARGET.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
. scripts/common.sh

seconds=0 build=yes targets=()
while [ $# -gt 0 ]; do
  case $1 in
  --seconds)
    seconds=${2:?}
    shift
    ;;
  --no-build) build=no ;;
  -*)
    echo "usage: scripts/fuzz.sh [--seconds N] [--no-build] [TARGET...]" >&2
    exit 2
    ;;
  *) targets+=("$1") ;;
  esac
  shift
done

findings=build/fuzz-findings
# Without random addresses, which libFuzzer would find in comparisons.
fixed=()
setarch -R true 2>/dev/null && fixed=(setarch -R)
# Target, corpus (also the name of its dictionary), longest input, inputs of a repeatable run.
table='TextFuzz text 256 20000
SafeTensorsFuzz safetensors 4096 20000
KernelCacheFuzz kernel-cache 4096 3000
QuantConfigFuzz quant-config 8192 6000
CheckpointFuzz checkpoint 16384 6000
TokenizerFuzz tokenizer 4096 6000
RecordsFuzz records 1024 10000
PackFuzz pack 4096 4000
CApiFuzz capi 4096 10000
IrFuzz ir 0 60000'

wanted() { [ ${#targets[@]} -eq 0 ] || printf '%s\n' "${targets[@]}" | grep -qx "$1"; }

build_targets() {
  configure asan && cmake --build --preset asan --target gptqc_fuzzers -- --quiet
}

# run_one TARGET CORPUS LONGEST INPUTS: its log holds everything; one line says how it went.
run_one() {
  local name=$1 corpus=$2 longest=$3 log="build/fuzz-$1.log" rc=0
  local seed=1 limit=20 runs=(-runs="$4") work=build/fuzz-corpus/$1
  if [ "$seconds" -gt 0 ]; then
    seed=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ') limit=$seconds runs=()
  else
    rm -rf "$work" # what an earlier run kept would make another run of this one
  fi
  local program=build/asan/tests/bin/$name
  if [ "$name" = IrFuzz ]; then
    program=build/release/tests/bin/IrFuzz
    [ -x "$program" ] || return 0
    "$program" --seed "$seed" "${runs[@]/#-runs=/--runs=}" --seconds "$limit" --keep "$findings" \
      tests/dialect tests/compiler tests/fuzz/corpus/ir >"$log" 2>&1 || rc=$?
    echo "$name: $(tail -n 1 "$log")"
  else
    [ -x "$program" ] || return 0
    mkdir -p "$work"
    "${fixed[@]}" "$program" -seed="$seed" "${runs[@]}" -max_total_time="$limit" -timeout=20 -rss_limit_mb=2048 -reload=0 \
      -max_len="$longest" -dict="tests/fuzz/dictionaries/$corpus.dict" -artifact_prefix="$findings/$name-" \
      -print_final_stats=1 "$work" "tests/fuzz/corpus/$corpus" >"$log" 2>&1 || rc=$?
    echo "$name: $(grep -E 'stat::number_of_executed_units|^Done' "$log" | tail -n 1), $(grep -oE 'cov: [0-9]+ ft: [0-9]+' "$log" | tail -n 1)"
  fi
  if [ "$rc" -ne 0 ]; then
    grep -E 'fuzz: |ERROR|runtime error|^find: ' "$log" | head -n 5
    echo "$name: FAILED, its output: $log"
  fi
  return "$rc"
}

mkdir -p "$findings"
if [ $build = yes ]; then
  build_targets || exit 1
fi
if ! grep -qs '^GPTQC_LIBFUZZER:INTERNAL=1' build/asan/CMakeCache.txt; then
  echo "fuzz: build/asan was built without libFuzzer: install clang-22 and libclang-rt-22-dev, remove build/asan"
  targets=(IrFuzz)
fi
failed=0 running=0
while read -r name corpus longest inputs; do
  wanted "$name" || continue
  if [ $running -eq 2 ]; then
    wait -n || failed=1
    running=1
  fi
  run_one "$name" "$corpus" "$longest" "$inputs" </dev/null &
  running=$((running + 1))
done <<<"$table"
while [ $running -gt 0 ]; do
  wait -n || failed=1
  running=$((running - 1))
done
exit $failed
