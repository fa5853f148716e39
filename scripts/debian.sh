#!/bin/sh
# Installs the programs of Debian that some tests use: a browser for the page, Prometheus for the dashboards and alerts, a
# library that sets a process's clock for drills, and a font for Chinese. Does nothing where all are there. Tests that miss one
# are skipped, and say that this script installs it.
set -eu

missing=""
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need chromium chromium
need promtool prometheus
ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || missing="$missing libfaketime"
[ -d /usr/share/fonts/opentype/noto ] || missing="$missing fonts-noto-cjk"
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "scripts/debian.sh: no apt-get here. Tests that need$missing are skipped." >&2
    exit 0
fi
root=""
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "scripts/debian.sh: run it as root to install$missing. Tests that need them are skipped." >&2
        exit 0
    fi
    root=sudo
fi
echo "scripts/debian.sh: installing$missing"
$root apt-get update -qq
# shellcheck disable=SC2086  # one word a package
$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
