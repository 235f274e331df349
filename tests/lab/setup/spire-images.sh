#!/usr/bin/env bash
# spire-images.sh VERSION: images of SPIRE's server and agent, made without Docker. Prints the folder of their archives.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/cache.sh"
version=$1
image=$here/../cluster/image.py

# A program's place and entry point are those of SPIRE's own images.
make_images() {
  local name program
  for name in spire-server spire-agent; do
    program=/opt/spire/bin/$name
    "$image" "localhost/$name:$version" "$1/$name.tar" --entrypoint $program --entrypoint run "$spire/$name:$program"
  done
}

spire=$("$here/spire.sh" "$version")
entry=spire-images-$version-$(key "$image" make_images - <<<"${spire##*/}")
cached "$entry" "making images of SPIRE $version" make_images
echo "$CACHE/$entry"
