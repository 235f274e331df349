#!/usr/bin/env bash
# tool.sh NAME: builds the program of the module NAME in the folder tools, each of which pins one program of others, and copies what its
# files.txt names from the program's own source. Prints their folder.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/cache.sh"
name=$1
module=$here/../tools/$name
files=$module/files.txt
[ -e "$files" ] || files=/dev/null

# As the cluster's programs are built. The tag leaves out clients of clouds, where Prometheus would find what to watch.
build() {
  cd "$module"
  export CGO_ENABLED=0 GOFLAGS=-mod=readonly
  nice -n 10 go build -o "$1/$name" -trimpath -tags remove_all_sd -gcflags all=-dwarf=false -ldflags '-s -w' tool
  local source path
  source=$(go list -f '{{.Module.Dir}}' tool)
  while read -r path; do install -D -m 644 -t "$1/${path%/*}" "$source/$path"; done <"$files"
}

entry=$name-$(key "$module/go.mod" "$module/go.sum" "$files" build)
cached "$entry" "building $name" build
echo "$CACHE/$entry"
