#!/usr/bin/env bash
# What shows on a GPU that embedding works, as one folder that needs libcuda and NVRTC there, and nothing else.
#
#   scripts/gpu_kit.sh pack FOLDER [BUILD]   stripped binaries of BUILD (default: build/release)
#   FOLDER/gpu_kit.sh run MODEL              on the machine with the GPU (two GPUs: also what needs two);
#                                            MODEL: e.g. tests/data/models/docs-llama-7m
set -euo pipefail

pack() {
  local folder=$1 build=${2:-build/release}
  mkdir -p "$folder"
  cp "$build"/bin/{gptqc,gptqc-variants,c_embed,llama_block} "$build"/lib/libgptqc_{runtime,compiler}.so \
    "$build"/tests/bin/{gptqc_capi_gpu_test,gptqc_repack_gpu_test} "$folder"
  strip "$folder"/{gptqc,gptqc-variants,*_test,*.so,c_embed,llama_block}
  cp scripts/gpu_kit.sh examples/aot/aot.sh "$folder"
}

run() {
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  export LD_LIBRARY_PATH="$PWD${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" GPTQC_REQUIRE_GPU=1 GPTQC=./gptqc C_EMBED=./c_embed
  export GPTQC_CACHE_DIR=$scratch/cache
  ./gptqc_capi_gpu_test
  ./gptqc_repack_gpu_test
  # The layers of an 8B model, as fusing runtimes have them, and 32 blocks of weights.
  ./gptqc load-bench --descriptor 'w4 g128 sym f16->f16 n6144 k4096 m1..' \
    --descriptor 'w4 g128 sym f16->f16 n4096 k4096 m1..' \
    --descriptor 'w4 g128 sym f16->f16 n28672 k4096 m1.. silu_mul' \
    --descriptor 'w4 g128 sym f16->f16 n4096 k14336 m1..' --blocks 32
  ./gptqc quantize "$1" --method rtn --bits 4 --group-size 64 -o "$scratch/model"
  ./aot.sh build "$scratch/model" "$scratch/pack" --fused --target sm_80,sm_90a --m 16
  ./aot.sh run "$scratch/model" "$scratch/pack"
  GPTQC_NVRTC=/none ./llama_block "$scratch/model" "$scratch/pack"
}

case "${1:-}" in
pack)
  cd "$(dirname "$0")/.."
  pack "${@:2}"
  ;;
run)
  model=$(realpath "$2")
  cd "$(dirname "$0")"
  run "$model"
  ;;
*)
  sed -n '2,6s/^# \{0,1\}//p' "$0"
  exit 2
  ;;
esac
