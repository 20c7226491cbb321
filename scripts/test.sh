#!/usr/bin/env bash
# Set-up, build, and the tests that need no GPU, but for the minutes of `ctest -L quality`: the release tree
# (compiler, tools, NVRTC), then the runtime, the simulated GPU and the compiler's IR under AddressSanitizer and UBSan,
# then short runs of the fuzzers.
#
#   scripts/test.sh [--no-setup] [--no-release] [--no-asan] [--no-fuzz]
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
. scripts/common.sh

setup=yes fuzz=yes trees=(release asan asan-mlir)
for argument in "$@"; do
  case $argument in
  --no-setup) setup=no ;;
  --no-release) trees=("${trees[@]/release/}") ;;
  --no-fuzz) fuzz=no ;;
  --no-asan) trees=("${trees[@]/asan*/}") ;;
  *)
    echo "usage: scripts/test.sh [--no-setup] [--no-release] [--no-asan] [--no-fuzz]" >&2
    exit 2
    ;;
  esac
done

failed=0
closing=()

build() {
  configure "$1" && cmake --build --preset "$1" -- --quiet
}

# run_tests TREE: the closing line of ctest is kept for the summary.
run_tests() {
  local log="build/$1.ctest.log" rc=0
  ctest --preset "$1" -LE "gpu|quality" --no-tests=error -j "$(nproc)" 2>&1 | tee "$log" || rc=$?
  closing+=("$1: $(grep -E '% tests passed|No tests were found' "$log" | tail -n 1)")
  return "$rc"
}

if [ $setup = yes ]; then
  phase set-up scripts/setup.sh || exit 1
fi
has_compiler || trees=("${trees[@]/asan-mlir/}")
for tree in "${trees[@]}"; do
  if [ -n "$tree" ]; then
    if phase "build $tree" build "$tree"; then
      phase "test $tree" run_tests "$tree" || failed=1
    else
      closing+=("$tree: did not build")
      failed=1
    fi
  fi
done

if [ $fuzz = yes ]; then
  phase fuzz scripts/fuzz.sh || failed=1
fi

echo "== summary"
phase_table
if ! has_compiler; then
  echo "   no MLIR on this machine: the runtime alone was built and tested"
fi
mkdir -p build
printf '   %s\n' "${closing[@]}" | tee build/test-summary.txt
exit $failed
