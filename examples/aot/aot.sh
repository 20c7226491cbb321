#!/usr/bin/env bash
# Ahead of time: the kernels of a model are compiled into a pack on a machine without a GPU, and run where
# there is no compiler and no NVRTC.
#
#   aot.sh build MODEL PACK [OPTIONS]   needs gptqc with its compiler, and NVRTC; no GPU
#   aot.sh run MODEL PACK               needs c_embed, libgptqc_runtime, and a CUDA driver
#
# OPTIONS are those of `gptqc pack build`; default: --target sm_80,sm_90a.
#
# GPTQC and C_EMBED name the binaries; default: those of the search path.
set -euo pipefail

case "${1:-}" in
build)
  options=("${@:4}")
  [ ${#options[@]} -gt 0 ] || options=(--target sm_80,sm_90a)
  "${GPTQC:-gptqc}" pack build "$2" -o "$3" "${options[@]}"
  "${GPTQC:-gptqc}" pack verify "$3"
  "${GPTQC:-gptqc}" pack ls "$3" | tail -n 5
  ;;
run)
  # Nothing of a CUDA toolkit is found: the runtime opens libcuda alone.
  env -u CUDA_HOME -u CUDA_PATH GPTQC_NVRTC=/none GPTQC_CACHE_DIR=/none "${C_EMBED:-c_embed}" "$2" "$3"
  ;;
*)
  sed -n '2,10s/^# \{0,1\}//p' "$0"
  exit 2
  ;;
esac
