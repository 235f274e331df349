#!/usr/bin/env bash
# Writes the image to target/image/keylime-attestor.oci.tar; neither Docker nor Podman is needed. Prints its name and digest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
out=target/image
mkdir -p "$out"
exec {lock}>"$out/lock"
flock "$lock"

# What an earlier list of programs left there must not get into the image.
rm -rf "$out/programs"
operator/image/programs.sh "$out/programs"
operator/image/oci.py Containerfile "$out/programs" "$out/keylime-attestor.oci.tar"
