#!/usr/bin/env bash
# spire.sh VERSION: SPIRE's server and agent, built from the pinned module of that version in the folder spire. Prints their folder.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/cache.sh"
version=$1
module=$here/../spire/v$version

# Static, so that the same programs run in images from scratch. SPIRE's sqlite needs cgo.
build() {
  cd "$module"
  CGO_ENABLED=1 GOFLAGS=-mod=readonly go build -o "$1/" -buildvcs=false -trimpath \
    -tags netgo,osusergo,sqlite_omit_load_extension \
    -ldflags '-s -w -linkmode external -extldflags "-static"' \
    github.com/spiffe/spire/cmd/spire-server github.com/spiffe/spire/cmd/spire-agent
}

entry=spire-$version-$(key "$module/go.mod" "$module/go.sum" build)
cached "$entry" "building SPIRE $version (about 6 minutes on 2 cores)" build
echo "$CACHE/$entry"
