#!/usr/bin/env bash
# Builds what scripts/gpu_check.sh needs on a machine that has neither an NVIDIA GPU nor CUDA, and packs it for one that
# has both but no Rust:
#
#   scripts/gpu_bundle.sh bundle.tar.xz [PROGRAM...]          # here; some ten minutes on two cores the first time
#   tar -C / -xJf bundle.tar.xz && cd CHECKOUT && scripts/gpu_check.sh --built      # there
#
# The archive holds paths from / on, since tests and programs know where they were built: there, too, CHECKOUT is this
# folder's path here. PROGRAM: more programs of this workspace, such as `train` or `results`.
#
# CUDA_COMPUTE_CAP is the oldest compute capability to build for [default: 80]; a newer card's driver compiles the rest
# when a program starts. Needs cc, strip, python3 with pip, unzip and xz; nvcc 13.0 comes from PyPI, so the other machine needs a
# driver of version 580 or newer and the libraries of CUDA 13 (those of PyTorch's pip packages do).
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1:---help}" in
-*) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; [ "${1:-}" = --help ]; exit $(($? * 2)) ;;
esac
archive=$(realpath -m "$1")
shift

export CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-80}
target=$PWD/target/gpu_check
tools=$target/toolkit
mkdir -p "$tools/wheels" "$tools/lib" "$tools/bin"

# The compiler and the headers.
if [ ! -x "$tools/nvidia/cu13/bin/nvcc" ]; then
    python3 -m pip download -q --no-deps -d "$tools/wheels" nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 \
        nvidia-cuda-crt==13.0.88 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85
    for wheel in "$tools"/wheels/*.whl; do unzip -q -o "$wheel" -d "$tools"; done
    chmod +x "$tools"/nvidia/cu13/bin/* "$tools"/nvidia/cu13/nvvm/bin/cicc
    ln -sfn "$tools/nvidia/cu13/include" "$tools/include"
fi
# dfdx's build asks this program for the card's capability, even where CUDA_COMPUTE_CAP says it.
printf '#!/bin/sh\necho compute_cap\necho "%s.%s"\n' "${CUDA_COMPUTE_CAP%?}" "${CUDA_COMPUTE_CAP#"${CUDA_COMPUTE_CAP%?}"}" \
    >"$tools/bin/nvidia-smi"
chmod +x "$tools/bin/nvidia-smi"

# Empty libraries to link with, of the real ones' names, which are found when a program starts.
cargo fetch -q --locked
cudarc=$(cargo metadata --locked --format-version 1 | python3 -c '
import json, os, sys
packages = json.load(sys.stdin)["packages"]
print(next(os.path.dirname(p["manifest_path"]) for p in packages if p["name"] == "cudarc"))')
stub() { # LIBRARY VERSION [FOLDER OF cudarc THAT DECLARES ITS FUNCTIONS]
    { [ $# -lt 3 ] || grep -ohE 'pub fn \w+\(' "$cudarc/src/$3/sys.rs" | sort -u | sed -E 's/pub fn (\w+)\(/void \1(void) {}/'; } |
        cc -shared -fPIC -w -fno-builtin -x c - -Wl,-soname,"lib$1.so.$2" -o "$tools/lib/lib$1.so"
}
stub cuda 1 driver
stub nvrtc 13 nvrtc
stub cublas 13 cublas
stub cublasLt 13
stub curand 10
export CUDA_PATH=$tools PATH="$tools/bin:$tools/nvidia/cu13/bin:$PATH"

scripts/gpu_check.sh --build-only "$@"
strip "$target"/programs/*

# What dfdx compiles when a program runs: its own headers, and CUDA's.
headers=$(for folder in "$target"/debug/build/dfdx-*/out; do [ -s "$folder/conv2d.ptx" ] && ls "$folder"/*.cuh; done)
mapfile -t files < <(
    ls "$target"/programs/* $headers
    find -L "$tools/include" "$tools/include/crt" -maxdepth 1 -name '*.h*'
    git ls-files data scripts shared/score_unet/tests shared/nn/tests | sed "s#^#$PWD/#"
)
tar -C / -chf - "${files[@]#/}" | xz -T1 --lzma2=preset=7,dict=256MiB >"$archive"
ls -lh "$archive"
