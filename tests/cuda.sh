#!/usr/bin/env bash
# Checks that the feature `cuda` builds, on a machine without a GPU. Assembles what a build needs of NVIDIA's CUDA toolkit
# out of NVIDIA's own packages in Python's registry (500 MB) into the build folder, and a stand-in for the driver's
# library, whose every function says that it is one. Needs: Rust, a C and C++ compiler, python3 with pip and venv.
#
#   tests/cuda.sh            the toolkit; lints, programs and tests with the feature; those tests, which say SKIPPED
#   tests/cuda.sh toolkit    the toolkit alone, and the environment for a build
#
# Where a GPU is, with NVIDIA's driver: set ANCHORHOLD_CUDA_DRIVER to the folder of its libcuda.so.1, and the tests run on it.
set -euo pipefail

# Of the toolkits that cudarc 0.19 knows, the one that drivers from 580 on run.
version='13.0.*'
parts='nvcc,nvvm,crt,cudart,cccl,curand,cublas,nvrtc'

root=$(cd "$(dirname "$0")/.." && pwd)
folder="${CARGO_TARGET_DIR:-$root/target}/cuda"
toolkit="$folder/toolkit"

if [ ! -e "$toolkit/complete" ]; then
    rm -rf "$folder"
    mkdir -p "$toolkit/lib64/stubs"
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: "cuda-toolkit[$parts]==$version"
    packages=$(echo "$folder"/venv/lib/python3*/site-packages/nvidia/cu13)
    for part in bin include nvvm; do ln -s "$packages/$part" "$toolkit/$part"; done
    # Packages have libraries under the names that programs load; linkers want those without a version.
    for library in "$packages"/lib/*; do
        name=$(basename "$library")
        ln -s "$library" "$toolkit/lib64/$name"
        case "$name" in *.so.*) ln -sf "$library" "$toolkit/lib64/${name%%.so.*}.so" ;; esac
    done
    # The driver's library comes with a driver. To link, functions of its names will do: each returns
    # CUDA_ERROR_STUB_LIBRARY (34), by which NVIDIA's own stand-in is known too.
    echo '#include <cuda.h>' | cc -E -I "$toolkit/include" - |
        grep --only-matching --extended-regexp '\bcu[A-Z][A-Za-z0-9_]*\s*\(' | tr --delete ' (' | sort --unique |
        awk '{ print "int " $1 "(void) { return 34; }" }' > "$folder/stub.c"
    cc -shared -o "$toolkit/lib64/stubs/libcuda.so" -Wl,-soname,libcuda.so.1 "$folder/stub.c"
    ln -s libcuda.so "$toolkit/lib64/stubs/libcuda.so.1"
    touch "$toolkit/complete"
fi

export CUDA_HOME="$toolkit"
export PATH="$toolkit/bin:$PATH"
# Hopper: the first line of GPUs with a confidential mode.
export CUDA_COMPUTE_CAP="${CUDA_COMPUTE_CAP:-90}"
driver="${ANCHORHOLD_CUDA_DRIVER:-$toolkit/lib64/stubs}"
libraries="$driver:$toolkit/lib64"

if [ "${1:-}" = toolkit ]; then
    echo "export CUDA_HOME=$CUDA_HOME PATH=$toolkit/bin:\$PATH CUDA_COMPUTE_CAP=$CUDA_COMPUTE_CAP LD_LIBRARY_PATH=$libraries"
    exit 0
fi

cd "$root"
nvcc --version | tail --lines 2
packages=(--package anchorhold-models --package anchorhold-enclave)
features=anchorhold-models/cuda,anchorhold-enclave/cuda,anchorhold-enclave/insecure-simulated
cargo clippy "${packages[@]}" --features "$features" --all-targets -- --deny warnings
cargo build --package anchorhold-enclave --features cuda
# The device's tests again, with CUDA built in; those of the CPU's device run, those of a GPU run or say SKIPPED.
LD_LIBRARY_PATH="$libraries" cargo test --package anchorhold-models --features cuda --lib -- device
LD_LIBRARY_PATH="$libraries" cargo test --package anchorhold-enclave --features cuda,insecure-simulated --lib -- devices
echo "the feature cuda builds"
