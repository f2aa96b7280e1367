#!/usr/bin/env bash
# A Python for 64-bit ARM with the packages that weft.runtime needs, in a folder of its own:
# tools/foreign_python.sh FOLDER
#
# Nothing is installed on this machine and no right is needed: Debian's packages are fetched by an
# apt that has its state in FOLDER and takes this for the machine's architecture, and are unpacked;
# wheels come from the Python index. 90 MB are fetched, 300 MB lie there in the end. With qemu-user
# (see tests/rpc/test_foreign_processor.py):
#   qemu-aarch64 -L FOLDER/root -E PYTHONHOME=FOLDER/root/usr -E PYTHONPATH=FOLDER/site FOLDER/python
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(realpath -m "${1:?usage: tools/foreign_python.sh FOLDER}")
[ ! -e "$folder/python" ] || exit 0
rm -rf "$folder"
mkdir -p "$folder"/{root,wheels} "$folder"/apt/{state/lists,cache/archives}/partial
: > "$folder/apt/state/status"
apt=(apt-get -qq --no-install-recommends
  -o "Dir::State=$folder/apt/state" -o "Dir::State::status=$folder/apt/state/status"
  -o "Dir::Cache=$folder/apt/cache" -o APT::Architecture=arm64 -o APT::Architectures::=arm64
  -o Acquire::Languages=none)
[ "$(id -u)" -ne 0 ] || apt+=(-o APT::Sandbox::User=root) # others cannot write there
"${apt[@]}" update
# libpython3-stdlib: the library without pip; libstdc++6: what numpy and LLVM are linked against.
"${apt[@]}" install --download-only -y python3-minimal libpython3-stdlib libstdc++6 zlib1g > /dev/null
for package in "$folder"/apt/cache/archives/*.deb; do dpkg-deb -x "$package" "$folder/root"; done
[ -e "$folder/root/lib" ] || ln -s usr/lib "$folder/root/lib" # what base-files would do

python=$(basename "$(realpath "$folder/root/usr/bin/python3")")
platforms=()
for tag in manylinux2014 manylinux_2_17 manylinux_2_26 manylinux_2_27 manylinux_2_28; do
  platforms+=(--platform "${tag}_aarch64")
done
.venv/bin/python -m pip download --quiet --no-deps --only-binary :all: "${platforms[@]}" \
  --python-version "${python#python}" -d "$folder/wheels" \
  "numpy>=1.26" "llvmlite>=0.46" "ml_dtypes>=0.4"
for wheel in "$folder"/wheels/*.whl; do .venv/bin/python -m zipfile -e "$wheel" "$folder/site"; done
rm -rf "$folder/apt" "$folder/wheels"
ln -s "root/usr/bin/$python" "$folder/python" # last: it says that all is there
