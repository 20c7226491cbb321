#!/usr/bin/env bash
# compile.sh BUILD_DIR SOURCE.cpp...: kernels of gptqc-sim-emit to a shared object each, beside the
# source, for gptqc-sim. MUTATED=DIR puts the headers of that folder in front.
set -euo pipefail
build=$1
shift
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$here/../..
include=(-I "${MUTATED:-$here/host}" -I "$here/host" -I "$root/templates" -I "$root" -I "$build")
# The instrumentation of two sanitizers without their runtimes: gptqc-sim takes the calls.
flags=(-std=c++20 -O1 -g1 -fPIC -w -fvisibility=hidden -fno-strict-aliasing
  -ftrivial-auto-var-init=pattern)
# An array that ends a struct has bounds, too; calls are of no interest. The first are GCC's options.
strict=(-fsanitize=bounds-strict --param=tsan-instrument-func-entry-exit=0)
"${CXX:-c++}" "${strict[@]}" -x c++ -fsyntax-only /dev/null 2>/dev/null || strict=(-fstrict-flex-arrays=3)
compile() {
  local object=${1%.cpp}.o
  # shellcheck disable=SC2086
  ${CXX_LAUNCHER:-} "${CXX:-c++}" "${flags[@]}" -fsanitize=thread,bounds,shift-exponent "${strict[@]}" "${include[@]}" -c "$1" -o "$object"
  "${CXX:-c++}" -shared "$object" "$build/runtime/core/libgptqc_core.a" -o "${1%.cpp}.so"
  rm "$object"
}
failed=0
running=0
for source in "$@"; do
  compile "$source" &
  running=$((running + 1))
  if [ "$running" -ge "$(nproc)" ]; then
    wait -n || failed=1
    running=$((running - 1))
  fi
done
while [ "$running" -gt 0 ]; do
  wait -n || failed=1
  running=$((running - 1))
done
exit "$failed"
