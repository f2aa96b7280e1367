#!/usr/bin/env bash
# Make .venv ready for a task: tools/setup.sh demo|test|check|bench
#
# Installs Debian packages that are missing, creates the virtual environment, installs weft into it
# with the extras of the task. Never asks. A stamp per task, keyed on what it depends on, makes the
# second call cost nothing. PYTHON chooses the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."
export PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 DEBIAN_FRONTEND=noninteractive

task=${1:?usage: tools/setup.sh demo|test|check|bench}
case $task in
  demo)  extras=images,demo ;;
  test)  extras=images,test ;;
  check) extras=images,test,check ;;
  bench) extras=images,bench ;;
  *) echo "setup: unknown task '$task'" >&2; exit 2 ;;
esac

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }

packages() { awk -v group="$1" '$1 == group { print $2 }' tools/debian-packages.txt; }

# install_debian GROUP: what is missing of a group. Fails with a message when it cannot.
install_debian() {
  local missing=() sudo=() p
  command -v dpkg-query >/dev/null || { echo "setup: this is no Debian; install by hand: $(packages "$1" | xargs)" >&2; return 1; }
  for p in $(packages "$1"); do
    [ "$(dpkg-query -W -f='${Status}' "$p" 2>/dev/null)" = "install ok installed" ] || missing+=("$p")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  if [ "$(id -u)" -ne 0 ]; then
    if ! sudo -n true 2>/dev/null; then
      echo "setup: missing Debian packages, and no right to install them. Please run:" >&2
      echo "  sudo apt-get install ${missing[*]}" >&2
      return 1
    fi
    sudo=(sudo -n --preserve-env=DEBIAN_FRONTEND)
  fi
  say "Debian packages: ${missing[*]}"
  "${sudo[@]}" apt-get update -qq >&2 || true # an old list may still do
  "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

find_python() {
  local p
  for p in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    if command -v "$p" >/dev/null && "$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$p"; return
    fi
  done
  echo "setup: no Python of version 3.11 or newer (set PYTHON to one)" >&2
  return 1
}

# A virtual environment whose interpreter has gone is of no use.
if ! .venv/bin/python -c '' 2>/dev/null; then
  python=$(find_python)
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    install_debian venv || exit 1
  fi
  say "virtual environment .venv ($("$python" --version))"
  rm -rf .venv
  "$python" -m venv .venv
fi

key=$( (cat pyproject.toml tools/debian-packages.txt tools/setup.sh benchmarks/web/package-lock.json; .venv/bin/python -VV; pwd) | sha256sum | cut -c1-16)
stamp=.venv/weft-$task.stamp
[ "$(cat "$stamp" 2>/dev/null)" = "$key" ] && exit 0

if [ "$task" = test ]; then
  install_debian gl || echo "setup: going on; tests of OpenGL will be skipped" >&2
  install_debian cl || echo "setup: going on; tests of OpenCL will be skipped" >&2
  install_debian vulkan || echo "setup: going on; tests of WebGPU outside of a browser will be skipped" >&2
  install_debian cross || echo "setup: going on; tests of foreign processors will be skipped" >&2
fi
if [ "$task" = demo ] || [ "$task" = test ]; then
  install_debian web || echo "setup: going on; what happens in a browser will be left out" >&2
fi
if [ "$task" = test ]; then
  { command -v node && command -v npm; } >/dev/null || install_debian node ||
    echo "setup: going on; tests of the JavaScript runtime under Node will be skipped" >&2
fi
if [ "$task" = bench ]; then
  if install_debian web && { { command -v node && command -v npm; } >/dev/null || install_debian node; }; then
    say "npm packages of benchmarks/web"
    (cd benchmarks/web && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
  else
    echo "setup: going on; the browser's part of the benchmark will not run" >&2
  fi
fi
say "Python packages for '$task' (the first time this takes a few minutes)"
.venv/bin/python -m pip install --editable ".[$extras]" | { grep -v '^Requirement already' || true; } >&2
if [ "$task" = test ] && command -v qemu-aarch64 > /dev/null && [ ! -e build/aarch64/python ]; then
  say "a Python for 64-bit ARM in build/aarch64 (90 MB)"
  tools/foreign_python.sh build/aarch64 >&2 ||
    echo "setup: going on; the test of a device server on ARM will be skipped" >&2
fi
echo "$key" > "$stamp"
