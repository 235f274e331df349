#!/usr/bin/env bash
# cargo-deny for make lint. Prints the program.
set -euo pipefail
. "$(dirname "$0")/cache.sh"

version=0.20.2
build() { cargo install --quiet --locked "cargo-deny@$version" --root "$1"; }

cached "cargo-deny-$version" "building cargo-deny $version" build
echo "$CACHE/cargo-deny-$version/bin/cargo-deny"
