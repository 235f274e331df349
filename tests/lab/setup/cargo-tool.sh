#!/usr/bin/env bash
# cargo-tool.sh NAME: builds a program of cargo's registry: cargo-deny for make lint, cargo-cyclonedx for make release. Prints the program.
set -euo pipefail
. "$(dirname "$0")/cache.sh"

declare -A versions=([cargo-deny]=0.20.2 [cargo-cyclonedx]=0.5.9)
name=$1
version=${versions[$name]}
build() { cargo install --quiet --locked "$name@$version" --root "$1"; }

cached "$name-$version" "building $name $version" build
echo "$CACHE/$name-$version/bin/$name"
