#!/usr/bin/env bash
# Random cases: emits, compiles and runs them until the count or the time is used up. A failure prints
# `descriptor | target | schedule | tokens | seed`, which --line repeats.
#
#   tests/sim/sweep.sh BUILD_DIR [--seed S] [--count N | --minutes M] [--line 'CASE']...
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd)
shift
seed=1 count=16 minutes=0 lines=()
while [ $# -gt 0 ]; do
  case $1 in
  --seed) seed=$2 ;;
  --count) count=$2 ;;
  --minutes) minutes=$2 ;;
  --line) lines+=(--line "$2") ;;
  *)
    echo "usage: tests/sim/sweep.sh BUILD_DIR [--seed S] [--count N | --minutes M] [--line CASE]" >&2
    exit 2
    ;;
  esac
  shift 2
done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# batch ARGUMENTS: one round of gptqc-sim-emit to gptqc-sim.
batch() {
  rm -f "$folder"/*
  "$build/bin/gptqc-sim-emit" --prefix "$folder/k" --outputs 4 "$@"
  "$here/compile.sh" "$build" "$folder"/k*.cpp
  "$build/bin/gptqc-sim" "$folder"/k*.so
}

if [ ${#lines[@]} -gt 0 ]; then
  batch "${lines[@]}"
  exit
fi
failed=0 done=0
size=24
while { [ "$minutes" -gt 0 ] && [ "$SECONDS" -lt $((minutes * 60)) ]; } ||
  { [ "$minutes" -eq 0 ] && [ "$done" -lt "$count" ]; }; do
  [ "$minutes" -eq 0 ] && [ $((count - done)) -lt $size ] && size=$((count - done))
  batch --random "$size" --seed "$seed" || failed=1
  done=$((done + size))
  seed=$((seed + 1))
done
echo "sweep: $done random cases, $([ $failed -eq 0 ] && echo all passed || echo FAILED)"
exit $failed
