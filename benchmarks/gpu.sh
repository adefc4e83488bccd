#!/usr/bin/env bash
# benchmarks/gpu.py on a machine that has a GPU and PyTorch but no network: the rest comes from a folder of wheels.
#
#   benchmarks/gpu.sh --wheels DIR                                                   # where there is a network: fill it
#   benchmarks/gpu.sh DIR --task sst2 --data DATA --teacher FOLDER --out OUT         # on the machine
#
# PyTorch, transformers and whatever else Python finds there already are left as they are.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}

# Names of the project's own dependencies; with an argument only those that this Python lacks.
needs() {
  "$PYTHON" - "$@" <<'EOF'
import importlib.metadata as metadata, re, sys, tomllib
given = tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"]
names = [re.match(r"[\w.-]+", one)[0] for one in given]
there = {re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower() for found in metadata.distributions()}
print(*[name for name in names if not sys.argv[1:] or name.lower() not in there])
EOF
}

if [ "${1:-}" = --wheels ]; then
  names=$(needs | tr ' ' '\n' | grep -vx 'torch\|transformers')
  # shellcheck disable=SC2086
  "$PYTHON" -m pip download --quiet --only-binary=:all: --constraint constraints.txt --dest "${2:?a folder}" $names
  rm -f "$2"/torch-* "$2"/triton-* "$2"/nvidia_* # what accelerate would bring, and the machine has
  exit
fi
wheels=${1:?the folder of wheels}
shift
missing=$(needs missing)
if [ -n "$missing" ]; then
  # shellcheck disable=SC2086
  "$PYTHON" -m pip install --quiet --no-index --find-links "$wheels" --target runs/gpu-packages $missing
fi
PYTHONPATH=$PWD:$PWD/runs/gpu-packages exec "$PYTHON" benchmarks/gpu.py "$@"
