#!/bin/sh
# Installs onnxruntime (MIT) with what builds a graph for it, from PyPI, into the build folder's bench-tools:
# `anchorhold-bench embeddings` measures beside it. Needs: python3 with pip and venv. Run again, it only checks.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
venv="${CARGO_TARGET_DIR:-$root/target}/bench-tools/onnxruntime"
packages="onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6"

if [ -f "$venv/made" ] && [ "$(cat "$venv/made")" = "$packages" ]; then
    echo "$venv is there"
    exit 0
fi
rm -rf "$venv"
mkdir -p "$(dirname "$venv")"
python3 -m venv "$venv"
# shellcheck disable=SC2086 # packages are words
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: $packages
printf '%s\n' "$packages" >"$venv/made"
echo "$venv made"
