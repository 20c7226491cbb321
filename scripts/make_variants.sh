#!/usr/bin/env bash
# Makes the quantized variants of the bundled models (a pairwise cover of what the writer can write) below
# the folder given and prints the folder of each: what the checks on a GPU run over.
#   scripts/make_variants.sh OUTPUT [BUILD_FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
output=${1:?usage: scripts/make_variants.sh OUTPUT [BUILD_FOLDER]}
build=${2:-build/release}
if [ ! -x "$build/bin/gptqc-variants" ]; then
  cmake --build "$build" --target gptqc-variants >&2
fi
exec "$build/bin/gptqc-variants" tests/data/models "$output"
