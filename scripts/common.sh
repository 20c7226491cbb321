# Shared by the scripts; source it from the repository root. Nothing here changes the machine.
# shellcheck shell=bash

phase_lines=()

# phase NAME COMMAND...: runs the command, prints and remembers how long it took; returns its exit code.
phase() {
  local name=$1 start=$SECONDS rc=0 verdict=ok
  shift
  echo "== $name"
  "$@" || rc=$?
  [ "$rc" -eq 0 ] || verdict="FAILED (exit $rc)"
  phase_lines+=("$(printf '%-22s %5d s  %s' "$name" $((SECONDS - start)) "$verdict")")
  echo "== ${phase_lines[-1]}"
  return "$rc"
}

# The table of all phases so far.
phase_table() {
  local line
  for line in "${phase_lines[@]}"; do
    echo "   $line"
  done
  printf '   %-22s %5d s\n' total "$SECONDS"
}

# quiet LOG COMMAND...: runs the command with its output in LOG; shows the end of LOG when it fails.
quiet() {
  local log=$1
  shift
  mkdir -p "$(dirname "$log")"
  if ! "$@" >"$log" 2>&1; then
    tail -n 60 "$log"
    echo "failed: $* (all of its output: $log)"
    return 1
  fi
}

# What scripts/setup.sh found out: extra arguments for cmake, one a line.
setup_arguments() {
  if [ -f .deps/cmake-args ]; then
    cat .deps/cmake-args
  fi
}

# A clang++ that has AddressSanitizer and libFuzzer, if there is one.
clang_with_sanitizers() {
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

# configure PRESET: cmake with what set-up found. The asan trees prefer clang: it compiles instrumented code in half
# the time, and has libFuzzer.
configure() {
  local arguments cxx
  mapfile -t arguments < <(setup_arguments)
  if [[ "$1" = asan* ]] && cxx=$(clang_with_sanitizers); then
    local -x CC=${cxx/clang++/clang} CXX=$cxx
  fi
  quiet "build/$1.configure.log" cmake --preset "$1" "${arguments[@]}"
}

# The compiler needs MLIR; without it setup.sh leaves -DGPTQC_COMPILER=OFF.
has_compiler() {
  ! setup_arguments | grep -qx -- '-DGPTQC_COMPILER=OFF'
}
