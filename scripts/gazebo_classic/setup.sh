#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Make a Debian 11 chroot with Gazebo Classic 11 and the bridge's plugin. Can be repeated: what is
# there stays. The Debian mirror is the one that apt uses here, or DEBIAN_MIRROR.
#
#   sudo scripts/gazebo_classic/setup.sh [FOLDER]      default /srv/mu0-gazebo11, about 2.5 GB
set -euo pipefail

root="${1:-/srv/mu0-gazebo11}"
here="$(cd "$(dirname "$0")" && pwd)"
[ "$(id -u)" -eq 0 ] || { echo "setup.sh: needs root, for debootstrap and chroot" >&2; exit 1; }
command -v debootstrap >/dev/null || apt-get install -y --no-install-recommends debootstrap

mirror="${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' \
    'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -n 1)}"
[ -n "$mirror" ] || { echo "setup.sh: apt knows no Debian mirror; set DEBIAN_MIRROR" >&2; exit 1; }

if [ ! -e "$root/etc/debian_version" ] || [ -d "$root/debootstrap" ]; then
    debootstrap --variant=minbase bullseye "$root" "$mirror"
fi
inside() { chroot "$root" env DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"; }
if ! inside dpkg -s gazebo libgazebo-dev g++ xvfb >/dev/null 2>&1; then
    for file in /etc/apt/apt.conf /etc/apt/apt.conf.d/*proxy*; do
        [ ! -f "$file" ] || cp "$file" "$root/etc/apt/apt.conf.d/"
    done
    inside apt-get update
    inside apt-get install -y --no-install-recommends \
        gazebo gazebo-plugin-base libgazebo-dev g++ pkg-config xvfb libgl1-mesa-dri
    inside apt-get clean
fi

source="$here/bridge_plugin.cc" library="$root/opt/mu0/libmu0_bridge.so"
if [ ! -e "$library" ] || [ "$source" -nt "$library" ]; then
    mkdir -p "$root/opt/mu0"
    cp "$source" "$root/opt/mu0/"
    inside sh -c 'cd /opt/mu0 && g++ -std=c++17 -O2 -w -fPIC -shared bridge_plugin.cc \
        -o new.so $(pkg-config --cflags --libs gazebo OGRE OGRE-Paging OGRE-Terrain) &&
        mv new.so libmu0_bridge.so'
fi
echo "Gazebo Classic is ready in $root"
