#!/usr/bin/env bash
# Run the tests with three processes for two cores, as they often wait for browsers and drivers:
# tools/test.sh [pytest arguments]
#
# Everything but the grid of operators, and beside it the grid, a process for each of its columns:
# what a graphics driver does to a process stays there. Three minutes of fuzzing run from the
# beginning, in a process of their own. Where the arguments name files or folders, just these.
# Kernels are cached in a folder of this run alone: nothing of an older compiler can leak in.
set -uo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d -t weft-test.XXXXXX)
trap 'jobs -rp | xargs -r kill; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
export WEFT_CACHE_DIR=$scratch/cache
export WEFT_RECORDS=0 # nor what somebody tuned here
cores=$(nproc 2>/dev/null || echo 1)
# Each takes up to 2 GB.
room=$(awk '/^MemAvailable/ {print int($2 / 2000000)}' /proc/meminfo 2>/dev/null || echo 2)
workers=$((cores + cores / 2))
[ "$workers" -le "$room" ] || workers=$((room > 1 ? room : 1))
parallel=()
# Not loadgroup: when a worker dies, xdist's grouping schedulers wait for its tests for ever.
[ "$workers" -ge 2 ] && parallel=(-n "$workers" --dist worksteal)
none=5 # pytest's exit code where the arguments select nothing

for argument in "$@"; do
  if [ -e "${argument%%::*}" ]; then
    .venv/bin/python -m pytest "${parallel[@]}" "$@"
    exit
  fi
done

columns=$(PYTHONPATH=tests .venv/bin/python -m conformance.columns) || exit
[ -n "$columns" ] || { echo "test: the grid has no columns" >&2; exit 1; }

# beside TITLE PATH [pytest arguments]: tests in a process of their own; their output is shown where
# they fail.
beside() {
  local title=$1 log=$scratch/${1// /-}.log code
  shift
  .venv/bin/python -m pytest -p no:cacheprovider --color=no "$@" > "$log" 2>&1 &
  trap "kill $! 2>/dev/null; exit 143" INT TERM
  wait $!
  code=$?
  [ $code -ne $none ] || return 0
  [ $code -eq 0 ] || { cat "$log"; touch "$scratch/failed"; }
  echo "$title: $(tail -n 1 "$log")"
}

# lane [pytest arguments]: columns, one after the other, until none is left in the queue.
lane() {
  local name
  while name=$(flock "$scratch/lock" sed -i -e '1{w /dev/stdout' -e 'd}' "$scratch/queue") &&
    [ -n "$name" ]; do
    WEFT_TEST_COLUMN=$name beside "operators on $name" tests/conformance "$@"
  done
}

printf '%s\n' "$columns" > "$scratch/queue"
lane "$@" &
beside "fuzzing" tests/fuzz/test_minutes.py "$@" &
.venv/bin/python -m pytest "${parallel[@]}" --ignore=tests/conformance \
  --ignore=tests/fuzz/test_minutes.py "$@"
code=$?
[ $code -ne 2 ] || exit 2 # interrupted
[ $code -eq 0 ] || [ $code -eq $none ] || touch "$scratch/failed"
for _ in $(seq 2 "$workers"); do lane "$@" & done
wait
[ ! -e "$scratch/failed" ]
