#!/usr/bin/env bash
# all.sh FOLDER lab|demo|test: what the lab needs, or what the demo or the tests need, with this project's own programs. All that
# can be is made side by side. Leaves links to the lab's programs in FOLDER, where the tests look.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/cache.sh"
links=$(mkdir -p "$1" && cd "$1" && pwd)
purpose=$2

require() { command -v "$1" >/dev/null || { say "$1 is missing: install $2 first"; exit 1; }; }
require cargo 'Rust from https://rustup.rs'
require go 'Go from https://go.dev/dl (1.21 or later)'

link() {
  local made
  made=$(result "$1")
  ln -sfn "$made" "$links/$2"
}

# What the cluster needs, by the scripts that install.sh calls: here they run at once, and it finds what they made.
start_lab() {
  start spire-1.15.3 "$here/spire.sh" 1.15.3
  [ "$purpose" = demo ] || start spire-1.13.3 "$here/spire.sh" 1.13.3
  start kubernetes "$here/kubernetes.sh"
  start spire-controller-manager "$here/tool.sh" spire-controller-manager
  start keylime "$here/keylime.sh" servers
  start cluster-tools "$here/cluster-tools.sh"
  [ "$purpose" = demo ] || start promtool "$here/tool.sh" promtool
  [ "$purpose" = demo ] || start crane "$here/tool.sh" crane
  [ "$purpose" = demo ] || start cargo-cyclonedx "$here/cargo-tool.sh" cargo-cyclonedx
}

start_own() {
  cd "$here/../../.."
  case $purpose in
    demo)
      start programs cargo build --package lab --bin demo
      start image operator/image/image.sh
      ;;
    # The image itself is made beside the first tests, which need none.
    test)
      start programs cargo build --workspace --bins --test cluster
      start tpm2-tss operator/image/static-tss.sh
      ;;
  esac
}

"$here/packages.sh"
say "The first time this takes up to half an hour on 2 cores, then seconds. What is done is kept."
. "$here/jobs.sh"
start_lab
[ "$purpose" = lab ] || start_own
total=$((${#names[@]} + 2))
finish
start cluster "$here/../cluster/install.sh"
start spire-images "$here/spire-images.sh" 1.15.3
finish

link spire-1.15.3 spire-1.15.3
[ "$purpose" = demo ] || link spire-1.13.3 spire-1.13.3
link keylime keylime
agent=$("$here/keylime.sh" agent)
ln -sfn "$agent" "$links/keylime-agent"
link spire-controller-manager spire-controller-manager
[ "$purpose" = demo ] || for tool in promtool crane cargo-cyclonedx; do link "$tool" "$tool"; done
link kubernetes cluster-programs
link cluster-tools cluster-tools
say "ready after $SECONDS s, cached in $CACHE"
