#!/bin/sh
# Everything to measure on a machine with a GPU, in at most 12 minutes; JSON goes into OUT.
#
#     sh benchmarks/gpu.sh OUT [PYTHON]
#     sh benchmarks/gpu.sh OUT python --device cpu --tiny     # checks the script without a GPU
set -e
out=${1:?"usage: sh benchmarks/gpu.sh OUT [PYTHON] [options]"}
python=${2:-python}
shift; [ $# -eq 0 ] || shift
here=$(dirname "$0")
mkdir -p "$out"
# Against the bare loop, as long as this fits into half of the time; then the limits of the card.
case "$*" in
    *--tiny*) ;;
    *) timeout 300 "$python" "$here/training.py" --device cuda --blocks 6 > "$out/training.txt" \
        || echo "training.txt is not complete" ;;
esac
timeout 400 "$python" "$here/gpu.py" --out "$out/gpu.json" "$@"
