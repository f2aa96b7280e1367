#!/usr/bin/env bash
# Run the tests with one process per core: tools/test.sh [pytest arguments]
#
# Kernels are cached in a folder of this run alone: nothing of an older compiler can leak in.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d -t weft-test.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
export WEFT_CACHE_DIR=$scratch/cache
export WEFT_RECORDS=0 # nor what somebody tuned here
cores=$(nproc 2>/dev/null || echo 1)
parallel=()
[ "$cores" -ge 2 ] && parallel=(-n "$cores" --dist loadgroup)
.venv/bin/python -m pytest "${parallel[@]}" "$@"
