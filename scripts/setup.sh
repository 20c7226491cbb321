#!/usr/bin/env bash
# Installs what the build and the tests need and what is missing; does nothing, quickly, when all is there.
#
#   scripts/setup.sh [-DMLIR_DIR=<prefix>/lib/cmake/mlir]
#
# Debian 12 is what CI builds on. Elsewhere MLIR >= 22 comes from the distribution or from -DMLIR_DIR=; where
# there is none, the runtime is built alone. NVRTC comes from an installed CUDA Toolkit (12 or later), else
# from NVIDIA's wheel, into .deps/nvrtc; GPTQC_FORCE_NVRTC_WHEEL=1 takes the wheel in any case.
# The Python package's build and tests take their packages from .deps/python.
# What was found is left in .deps/cmake-args for the other scripts.
set -euo pipefail
cd "$(dirname "$0")/.."

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  as_root=(sudo)
fi

say() { echo "setup: $*"; }
die() {
  echo "setup: error: $*" >&2
  exit 1
}

mlir_dir=""
for argument in "$@"; do
  case $argument in
  -DMLIR_DIR=*) mlir_dir=${argument#-DMLIR_DIR=} ;;
  *)
    echo "usage: scripts/setup.sh [-DMLIR_DIR=<prefix>/lib/cmake/mlir]" >&2
    exit 2
    ;;
  esac
done

# --- distribution packages -----------------------------------------------------------------------------

apt_updated=no
apt_install() {
  local package missing=()
  for package in "$@"; do
    if [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
      missing+=("$package")
    fi
  done
  if [ ${#missing[@]} -eq 0 ]; then
    return 0
  fi
  say "installing ${missing[*]}"
  apt_update
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Acquire::Retries=3 \
    -o Dpkg::Use-Pty=0 install --no-install-recommends "${missing[@]}" >/dev/null ||
    die "apt-get could not install ${missing[*]}; check the network and the package sources"
}

apt_update() {
  if [ $apt_updated = no ]; then
    "${as_root[@]}" apt-get -qq -o Acquire::Retries=3 update ||
      die "apt-get update failed; check the network and the package sources"
    apt_updated=yes
  fi
}

# The newest LLVM that apt knows with MLIR in it, 22 or later; empty when there is none.
apt_llvm_version() {
  apt-cache search --names-only '^libmlir-[0-9]+-dev$' | sed -n 's/^libmlir-\([0-9]*\)-dev .*/\1/p' |
    sort -n | awk '$1 >= 22 { newest = $1 } END { print newest }'
}

install_with_apt() {
  apt_install g++ cmake ninja-build git python3 ca-certificates \
    libfmt-dev nlohmann-json3-dev libcli11-dev libgtest-dev libopenblas0-pthread \
    libpcre2-dev libutf8proc-dev libsentencepiece-dev
  if [ -n "$mlir_dir" ]; then
    return 0
  fi
  local llvm
  llvm=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' 'libmlir-*-dev' 2>/dev/null |
    sed -n 's/^installed libmlir-\([0-9]*\)-dev$/\1/p' | sort -n | awk '$1 >= 22 { newest = $1 } END { print newest }' || true)
  if [ -z "$llvm" ]; then
    apt_update
    llvm=$(apt_llvm_version)
  fi
  if [ -n "$llvm" ]; then
    apt_install "libmlir-$llvm-dev" "mlir-$llvm-tools" "llvm-$llvm-dev" "llvm-$llvm-tools" \
      "clang-format-$llvm" "clang-tidy-$llvm" \
      "clang-$llvm" "libclang-rt-$llvm-dev"
    # LLVM's CMake files name these libraries.
    apt_install libzstd-dev zlib1g-dev libxml2-dev libz3-dev
  fi
}

install_packages() {
  if command -v apt-get >/dev/null; then
    install_with_apt
  elif command -v dnf >/dev/null; then
    "${as_root[@]}" dnf -q -y --setopt=install_weak_deps=False install gcc-c++ cmake ninja-build git \
      python3 python3-pip fmt-devel json-devel cli11-devel gtest-devel openblas \
      pcre2-devel pcre2-static utf8proc-devel sentencepiece-devel
    "${as_root[@]}" dnf -q -y install mlir-devel mlir-static llvm-devel llvm-static llvm-test \
      python3-lit clang-tools-extra || say "no MLIR packages here"
  elif command -v pacman >/dev/null; then
    "${as_root[@]}" pacman -S --needed --noconfirm --quiet gcc cmake ninja git python python-pip fmt \
      nlohmann-json cli11 gtest
    "${as_root[@]}" pacman -S --needed --noconfirm --quiet mlir llvm clang || say "no MLIR packages here"
  else
    say "no apt, dnf or pacman: expecting a C++20 compiler, cmake, ninja, fmt, nlohmann/json, CLI11 and gtest"
  fi
}

# --- MLIR ----------------------------------------------------------------------------------------------

mlir_version() {
  sed -n 's/^set(PACKAGE_VERSION "\([0-9.]*\).*/\1/p' "$1/MLIRConfigVersion.cmake" 2>/dev/null || true
}

# Sets mlir_dir to the newest MLIR >= 22 of the usual places; empty when there is none.
find_mlir() {
  local candidate version best=0
  for candidate in /usr/lib/llvm-*/lib/cmake/mlir /usr/lib64/llvm*/lib*/cmake/mlir \
    /usr/lib64/cmake/mlir /usr/lib/cmake/mlir /usr/local/lib/cmake/mlir; do
    version=$(mlir_version "$candidate")
    if [ -n "$version" ] && [ "${version%%.*}" -ge 22 ] && [ "${version%%.*}" -gt "$best" ]; then
      best=${version%%.*}
      mlir_dir=$candidate
    fi
  done
}

record_mlir() {
  mkdir -p .deps
  if [ -n "$mlir_dir" ]; then
    local version
    version=$(mlir_version "$mlir_dir")
    [ -n "$version" ] || die "no MLIRConfigVersion.cmake in $mlir_dir; pass the folder that holds it"
    [ "${version%%.*}" -ge 22 ] || die "MLIR $version in $mlir_dir is too old; 22 or later is needed"
    say "MLIR $version: $mlir_dir"
    echo "-DMLIR_DIR=$mlir_dir" >.deps/cmake-args
  else
    say "no MLIR >= 22 on this machine: the runtime will be built alone (-DMLIR_DIR= names another MLIR)"
    echo "-DGPTQC_COMPILER=OFF" >.deps/cmake-args
  fi
}

# --- NVRTC ---------------------------------------------------------------------------------------------

# Prints the path of an installed libnvrtc of CUDA 12 or later.
find_toolkit_nvrtc() {
  local root library
  for root in "${CUDA_HOME:-}" "${CUDA_PATH:-}" /usr/local/cuda /usr/local/cuda-[1-9]* /opt/cuda; do
    for library in "$root"/{lib64,lib,targets/x86_64-linux/lib,targets/sbsa-linux/lib}/libnvrtc.so.1[2-9]; do
      if [ -n "$root" ] && [ -e "$library" ]; then
        echo "$library"
        return 0
      fi
    done
  done
  { ldconfig -p 2>/dev/null || true; } | sed -n 's/.*=> \(.*libnvrtc\.so\.1[2-9]\)$/\1/p' | sed -n 1p
}

# CUDA 13's compiler makes code for drivers of its generation (580 and later).
nvrtc_wheel_name() {
  local driver=""
  if command -v nvidia-smi >/dev/null; then
    driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | head -n 1)
  fi
  case ${driver%%.*} in
  '' | *[!0-9]*) echo nvidia-cuda-nvrtc ;;
  *) [ "${driver%%.*}" -ge 580 ] && echo nvidia-cuda-nvrtc || echo nvidia-cuda-nvrtc-cu12 ;;
  esac
}

ensure_pip() {
  if ! python3 -m pip --version >/dev/null 2>&1; then
    command -v apt-get >/dev/null || die "python3 has no pip; install it"
    apt_install python3-pip
  fi
}

install_nvrtc_wheel() {
  if compgen -G '.deps/nvrtc/nvidia/*/lib/libnvrtc.so.1*' >/dev/null; then
    say "NVRTC: $(compgen -G '.deps/nvrtc/nvidia/*/lib/libnvrtc.so.1*' | head -n 1)"
    return 0
  fi
  ensure_pip
  local wheel scratch=.deps/nvrtc.partial
  wheel=$(nvrtc_wheel_name)
  say "downloading NVRTC (wheel $wheel)"
  rm -rf "$scratch" .deps/nvrtc
  mkdir -p "$scratch/wheel"
  python3 -m pip -q download --no-deps --only-binary=:all: -d "$scratch/wheel" "$wheel" ||
    die "could not download $wheel; check the network, or install a CUDA Toolkit (12 or later)"
  python3 -m zipfile -e "$scratch"/wheel/*.whl "$scratch/files"
  compgen -G "$scratch/files/nvidia/*/lib/libnvrtc.so.1*" >/dev/null ||
    die "the wheel $wheel holds no libnvrtc; install a CUDA Toolkit (12 or later)"
  mv "$scratch/files" .deps/nvrtc
  rm -rf "$scratch"
  say "NVRTC: $(compgen -G '.deps/nvrtc/nvidia/*/lib/libnvrtc.so.1*' | head -n 1)"
}

install_nvrtc() {
  local library=""
  if [ "${GPTQC_FORCE_NVRTC_WHEEL:-0}" != 1 ]; then
    library=$(find_toolkit_nvrtc)
  fi
  if [ -n "$library" ]; then
    say "NVRTC: $library"
  else
    install_nvrtc_wheel
  fi
}

# --- Python --------------------------------------------------------------------------------------------

# What building the extension module needs of python3 itself; the package is left out without it.
has_python_headers() {
  python3 -c 'import os, sys, sysconfig, venv
sys.exit(sys.version_info < (3, 10) or not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' 2>/dev/null
}

install_python_packages() {
  local wheels=.deps/python/wheels
  if ! has_python_headers && command -v apt-get >/dev/null; then
    apt_install python3-dev python3-venv
  fi
  if ! has_python_headers; then
    say "no headers of Python 3.10 or later: the Python package is not built"
    return 0
  fi
  if [ ! -d "$wheels" ]; then
    say "downloading scikit-build-core, nanobind, numpy, safetensors"
    ensure_pip
    rm -rf .deps/python .deps/python.partial
    python3 -m pip -q download --only-binary=:all: -d .deps/python.partial/wheels \
      'scikit-build-core>=0.11' 'nanobind>=2.9,<3' numpy safetensors || {
      say "could not download Python packages: the Python package is not built"
      return 0
    }
    python3 -m zipfile -e .deps/python.partial/wheels/nanobind-*.whl .deps/python.partial
    mv .deps/python.partial .deps/python
  fi
  echo "-DGPTQC_PYTHON=ON" >>.deps/cmake-args
}

install_packages
if [ -z "$mlir_dir" ]; then
  find_mlir
fi
record_mlir
install_nvrtc
install_python_packages
