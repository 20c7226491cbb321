#!/usr/bin/env bash
# clang-format and clang-tidy (version 22) on the files changed since ${GPTQC_BASE:-HEAD~30}, or on all where
# that commit does not exist. At most 20 files are tidied per run, the newest changes first.
#
#   scripts/lint.sh [--all] [--fix] [--format-only] [FILE...]
#
#   --all          every file, and no limit on clang-tidy
#   --fix          apply what the tools propose
#   --format-only  clang-format alone (needs no build)
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
. scripts/common.sh

all=no fix=no tidy=yes limit=20 named=()
for argument in "$@"; do
  case $argument in
  --all) all=yes limit=100000 ;;
  --fix) fix=yes ;;
  --format-only) tidy=no ;;
  -*)
    echo "usage: scripts/lint.sh [--all] [--fix] [--format-only] [FILE...]" >&2
    exit 2
    ;;
  *) named+=("$argument") ;;
  esac
done

# A checkout that belongs to another user (containers) is fine to read.
git() { command git -c safe.directory='*' "$@"; }

# tool NAME: the versioned tool, or one of the plain name if that is version 22 or later.
tool() {
  local candidate
  for candidate in "$1-22" "/usr/lib/llvm-22/bin/$1" "$1"; do
    if command -v "$candidate" >/dev/null &&
      [ "$("$candidate" --version | grep -oE 'version [0-9]+' | head -n 1 | cut -d' ' -f2)" -ge 22 ]; then
      echo "$candidate"
      return 0
    fi
  done
  echo "lint: error: no $1 22 or later; run scripts/setup.sh" >&2
  return 1
}

# Host sources and device headers; the newest change first.
candidates() {
  local base=${GPTQC_BASE:-HEAD~30}
  if [ ${#named[@]} -gt 0 ]; then
    printf '%s\n' "${named[@]}"
  elif [ $all = yes ] || ! git rev-parse -q --verify "$base^{commit}" >/dev/null; then
    git ls-files
  else
    git diff --name-only HEAD
    git log --format= --name-only "$base..HEAD"
  fi
}
mapfile -t files < <(candidates | awk '!seen[$0]++' | grep -E '\.(c|cpp|h|cu|cuh)$' |
  while read -r file; do [ -f "$file" ] && echo "$file"; done)

check_format() {
  local formatter
  formatter=$(tool clang-format) || return 1
  if [ $fix = yes ]; then
    "$formatter" -i "${files[@]}"
  elif ! "$formatter" --dry-run -Werror "${files[@]}"; then
    echo "lint: run scripts/lint.sh --fix to reformat"
    return 1
  fi
  echo "clang-format: ${#files[@]} files"
}

# One compile database of both trees, without precompiled headers, which clang cannot read from GCC.
check_tidy() {
  local tidier sources
  tidier=$(tool clang-tidy) || return 1
  mapfile -t sources < <(printf '%s\n' "${files[@]}" | python3 scripts/compile_database.py build build/lint)
  local chosen=("${sources[@]:0:$limit}") options=(-p build/lint --quiet)
  if [ ${#chosen[@]} -eq 0 ]; then
    echo "clang-tidy: no file to check"
    return 0
  fi
  [ $fix = no ] || options+=(--fix)
  local jobs
  jobs=$(nproc)
  [ $fix = no ] || jobs=1 # two fixes of one header would collide
  if ! printf '%s\0' "${chosen[@]}" | xargs -0 -n 1 -P "$jobs" "$tidier" "${options[@]}" 2>build/lint/stderr.txt; then
    grep -E 'error:' build/lint/stderr.txt
    return 1
  fi
  echo "clang-tidy: ${#chosen[@]} of ${#sources[@]} changed files (scripts/lint.sh --all checks all)"
}

build_for_tidy() {
  local tree
  for tree in release asan; do
    if [ ! -f "build/$tree/compile_commands.json" ]; then
      configure "$tree" && cmake --build --preset "$tree" -- --quiet || return 1
    fi
  done
}

failed=0
if [ ${#files[@]} -eq 0 ]; then
  echo "lint: no source file changed"
  exit 0
fi
phase clang-format check_format || failed=1
if [ $tidy = yes ]; then
  if phase "build for clang-tidy" build_for_tidy; then
    phase clang-tidy check_tidy || failed=1
  else
    failed=1
  fi
fi
echo "== lint summary"
phase_table
exit $failed
