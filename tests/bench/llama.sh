#!/bin/sh
# Builds what the engine is measured against, into the build folder's bench-tools: llama.cpp's llama-bench,
# llama-batched-bench, llama-perplexity and llama-quantize, as the PyPI source package of llama-cpp-python has them
# (MIT). Nothing of it is part of this project. Two builds: for this processor, and for AVX2 alone.
# usage: llama.sh [JOBS] (default: all cores; one takes about 15 minutes)
# Needs: python3 with pip and venv, tar, a C and C++ compiler. Run again, it only checks what is there.
set -eu

package=llama-cpp-python
version=0.3.36
sdist_sha256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
targets="llama-bench llama-batched-bench llama-perplexity llama-quantize"

jobs="${1:-$(nproc)}"
root=$(cd "$(dirname "$0")/../.." && pwd)
tools="${CARGO_TARGET_DIR:-$root/target}/bench-tools"
made="$tools/made" # what the tools were made from, written last: a broken run is repeated
this="$version $sdist_sha256 $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null | head -n 1)"

if [ -f "$made" ] && [ "$(cat "$made")" = "$this" ]; then
    echo "$tools is there"
    exit 0
fi

mkdir -p "$tools"
rm -f "$made"
venv="$tools/venv"
if ! [ -x "$venv/bin/ninja" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: \
        cmake==4.4.5 ninja==1.13.2 scikit-build-core==1.1.2
fi
PATH="$venv/bin:$PATH"

# pip compares the digest before it runs anything of the package.
source="$tools/source"
if ! [ -f "$source/fetched" ]; then
    rm -rf "$source"
    mkdir -p "$source/sdist"
    printf '%s==%s --hash=sha256:%s\n' "$package" "$version" "$sdist_sha256" >"$source/requirements.txt"
    pip download --quiet --disable-pip-version-check --no-binary :all: --no-deps --no-build-isolation \
        --require-hashes --dest "$source/sdist" --requirement "$source/requirements.txt"
    tar -xzf "$source"/sdist/*.tar.gz --strip-components=1 -C "$source"
    rm -r "$source/sdist"
    touch "$source/fetched"
fi

# One folder of objects for both: only the processor's kernels are compiled twice.
build() { # name, cmake options
    name=$1
    shift
    cmake -S "$source/vendor/llama.cpp" -B "$tools/objects" -G Ninja -DCMAKE_BUILD_TYPE=Release \
        -DBUILD_SHARED_LIBS=OFF -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF \
        -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_UI=OFF \
        -DLLAMA_USE_PREBUILT_UI=OFF "$@" >"$tools/configure.log" 2>&1 ||
        { tail -n 30 "$tools/configure.log" >&2; exit 1; }
    # shellcheck disable=SC2086 # targets are words
    cmake --build "$tools/objects" --parallel "$jobs" --target $targets >"$tools/build.log" 2>&1 ||
        { tail -n 30 "$tools/build.log" >&2; exit 1; }
    mkdir -p "$tools/$name"
    for target in $targets; do
        cp "$tools/objects/bin/$target" "$tools/$name/$target"
    done
    echo "$tools/$name made"
}

build native -DGGML_NATIVE=ON
build avx2 -DGGML_NATIVE=OFF -DGGML_SSE42=ON -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON \
    -DGGML_BMI2=ON -DGGML_AVX512=OFF -DGGML_AVX_VNNI=OFF
printf '%s\n' "$this" >"$made"
