#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Check what pip cannot bring: Python, a compiler, CMake, off-screen OpenGL. Installs it when root.
set -euo pipefail

python=${1:-python3}
"$python" - <<'EOF' || exit 1
import sys
if not (3, 11) <= sys.version_info[:2] <= (3, 13):
    sys.exit(f"Python 3.11 to 3.13 is needed, {sys.executable} is {sys.version.split()[0]}; "
             "run: make PYTHON=/path/to/python3.11 setup")
EOF

missing=()
command -v g++ >/dev/null || missing+=(g++)
command -v cmake >/dev/null || missing+=(cmake)
command -v make >/dev/null || missing+=(make)
"$python" -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
[ -e "$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ] || missing+=(python3-dev)
ldconfig -p | grep -q 'libEGL\.so\.1' || missing+=(libegl1)
ldconfig -p | grep -q 'libGL\.so\.1' || missing+=(libgl1)
[ ${#missing[@]} -eq 0 ] && exit 0

install="apt-get install -y --no-install-recommends ${missing[*]}"
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  echo "installing ${missing[*]}"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive $install -qq >/dev/null
else
  echo "missing on this machine: ${missing[*]}; run: sudo $install" >&2
  exit 1
fi
