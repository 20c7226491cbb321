#!/usr/bin/env bash
# All tests of the Python package on a machine with a GPU, torch, transformers and peft, then the decode benchmark.
#
#   python/tests/run_gpu.sh [--no-install] [--no-bench]
#
# Installs the package from this checkout first: from build/release where that tree was built with GPTQC_PYTHON,
# else from the sources. PYTHON names the interpreter (default: python3).
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3} install=yes bench=yes
for argument in "$@"; do
  case $argument in
  --no-install) install=no ;;
  --no-bench) bench=no ;;
  *)
    echo "usage: python/tests/run_gpu.sh [--no-install] [--no-bench]" >&2
    exit 2
    ;;
  esac
done

if [ $install = yes ]; then
  options=()
  if compgen -G 'build/release/python/gptqc/_core*' >/dev/null; then
    "$python" -m pip -q install 'scikit-build-core>=0.11' 'nanobind>=2.9,<3' ninja
    options=(--no-build-isolation -C "build-dir=build/release" -C cmake.define.GPTQC_TESTS=ON)
  fi
  "$python" -m pip -q install "${options[@]}" .
fi
data=$PWD/tests/data
tests=$PWD/python/tests
cd "$(mktemp -d)" # the installed package, not the checkout
export GPTQC_TEST_DATA=$data
failed=0
"$python" -m unittest discover -s "$tests" || failed=1
"$python" -m unittest discover -s "$tests/torch" -v || failed=1
if [ $bench = yes ]; then
  "$python" "$tests/torch/perplexity.py" || failed=1
  "$python" "$tests/torch/decode_bench.py" || failed=1
fi
exit $failed
