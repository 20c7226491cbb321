#!/usr/bin/env bash
# The mutation proof: rewrites the kernels of mutate/kernels.txt, compiles them once with all their
# mutants, and runs these one by one. Options go to gptqc-sim: --filter TEXT, --sample N, --seed S,
# --jobs J (2).
#
#   tests/sim/mutate/run.sh BUILD_DIR [OPTIONS]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd)
shift
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$build/bin/gptqc-sim-emit" --prefix "$folder/k" --outputs 6 "$here/kernels.txt"
python3 "$here/mutate.py" --kernels "$folder"/k*.cpp --out "$folder"
MUTATED=$folder/mutated "$here/../compile.sh" "$build" "$folder"/mutated/k*.cpp
"$build/bin/gptqc-sim" --mutants "$folder/mutants.txt" --known "$here/equivalent.txt" \
  "$@" "$folder"/mutated/k*.so
