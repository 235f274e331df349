#!/usr/bin/env bash
# SPIRE's server and agent, built from the pinned module beside this folder. Prints their folder.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/cache.sh"
module=$here/../spire

# Static, so that the same programs run in images from scratch. SPIRE's sqlite needs cgo.
build() {
  cd "$module"
  CGO_ENABLED=1 GOFLAGS=-mod=readonly go build -o "$1/" -buildvcs=false -trimpath \
    -tags netgo,osusergo,sqlite_omit_load_extension \
    -ldflags '-s -w -linkmode external -extldflags "-static"' \
    github.com/spiffe/spire/cmd/spire-server github.com/spiffe/spire/cmd/spire-agent
}

entry=spire-$(key "$module/go.mod" "$module/go.sum" "$0")
version=$(awk '$1 == "github.com/spiffe/spire" { print $2 }' "$module/go.mod")
cached "$entry" "building SPIRE $version (about 6 minutes on 2 cores)" build
echo "$CACHE/$entry"
