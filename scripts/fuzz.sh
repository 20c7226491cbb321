#!/usr/bin/env bash
# Builds the fuzz targets with clang and libFuzzer and runs each for a while, two at a time, on a copy of its
# corpus. Without clang it says so and runs the mutator of IR alone, where the release tree has it.
#
#   scripts/fuzz.sh [--seconds N] [--no-build] [TARGET...]
#
# Finds are kept in build/fuzz-findings, what the run added to a corpus in build/fuzz-corpus/TARGET.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
. scripts/common.sh

seconds=20 build=yes targets=()
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
# Target, corpus (also the name of its dictionary), longest input.
table='TextFuzz text 256
SafeTensorsFuzz safetensors 4096
KernelCacheFuzz kernel-cache 4096
QuantConfigFuzz quant-config 8192
CheckpointFuzz checkpoint 16384
TokenizerFuzz tokenizer 4096
IrFuzz ir 0'

wanted() { [ ${#targets[@]} -eq 0 ] || printf '%s\n' "${targets[@]}" | grep -qx "$1"; }

compiler() {
  local candidate
  for candidate in clang++-22 clang++; do
    if command -v "$candidate" >/dev/null &&
      echo 'extern "C" int LLVMFuzzerTestOneInput(const char *, unsigned long) { return 0; }' |
      "$candidate" -x c++ -fsanitize=fuzzer,address - -o /dev/null 2>/dev/null; then
      echo "$candidate"
      return 0
    fi
  done
  return 1
}

build_targets() {
  local cxx
  cxx=$(compiler) || return 1
  CC=${cxx/clang++/clang} CXX=$cxx configure fuzz && cmake --build --preset fuzz -- --quiet
}

# run_one TARGET CORPUS LONGEST: its log holds everything; one line says how it went.
run_one() {
  local name=$1 corpus=$2 longest=$3 log="build/fuzz-$1.log" rc=0
  local program=build/fuzz/tests/bin/$name
  if [ "$name" = IrFuzz ]; then
    program=build/release/tests/bin/IrFuzz
    [ -x "$program" ] || return 0
    "$program" --seconds "$seconds" --keep "$findings" tests/dialect tests/compiler tests/fuzz/corpus/ir \
      >"$log" 2>&1 || rc=$?
    echo "$name: $(tail -n 1 "$log")"
  else
    [ -x "$program" ] || return 0
    local work=build/fuzz-corpus/$name
    mkdir -p "$work"
    "$program" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -max_len="$longest" \
      -dict="tests/fuzz/dictionaries/$corpus.dict" -artifact_prefix="$findings/$name-" \
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
  if ! compiler >/dev/null; then
    echo "fuzz: no clang with libFuzzer here (packages clang-22, libclang-rt-22-dev)"
  elif ! build_targets; then
    exit 1
  fi
fi
failed=0 running=0
while read -r name corpus longest; do
  wanted "$name" || continue
  if [ $running -eq 2 ]; then
    wait -n || failed=1
    running=1
  fi
  run_one "$name" "$corpus" "$longest" </dev/null &
  running=$((running + 1))
done <<<"$table"
while [ $running -gt 0 ]; do
  wait -n || failed=1
  running=$((running - 1))
done
exit $failed
