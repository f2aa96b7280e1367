#!/usr/bin/env bash
# Ask another framework what a model's answers are, and keep them beside the tests:
# tools/judge.sh NAME [arguments]
#
# tests/judges/NAME.txt lists the packages of an environment of its own (build/judges/NAME, made
# once; they are large, and no test needs them), tests/judges/NAME.py is run there, without its own
# folder among those that Python imports from: it may have the name of the framework. It writes small
# arrays below tests/frontends/answers/NAME. Packages of Node that it asks are listed in
# tests/judges/NAME.package.json, and lie in that environment's node_modules.
set -euo pipefail
cd "$(dirname "$0")/.."
name=${1:?usage: tools/judge.sh NAME [arguments]; NAME is one of $(cd tests/judges && echo *.txt)}
shift
home=build/judges/$name
node=tests/judges/$name.package.json
key=$(cat "tests/judges/$name.txt" $([ ! -f "$node" ] || echo "$node") | sha256sum)
if [ "$(cat "$home/key" 2>/dev/null)" != "$key" ]; then
  echo "==> an environment for $name in $home" >&2
  rm -rf "$home"
  "${PYTHON:-python3}" -m venv "$home"
  "$home/bin/python" -m pip install --quiet --disable-pip-version-check -r "tests/judges/$name.txt"
  if [ -f "$node" ]; then
    cp "$node" "$home/package.json"
    npm install --silent --no-audit --no-fund --prefix "$home"
  fi
  echo "$key" > "$home/key"
fi
exec "$home/bin/python" -P "tests/judges/$name.py" "$@"
