#!/usr/bin/env bash
# Everything that the lab needs. Leaves links to it in the folder given, where the tests look.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/cache.sh"
links=$1

require() { command -v "$1" >/dev/null || { say "$1 is missing: install $2 first"; exit 1; }; }
require cargo 'Rust from https://rustup.rs'
require go 'Go from https://go.dev/dl (1.21 or later)'

"$here/packages.sh"
spire=$("$here/spire.sh")
servers=$("$here/keylime.sh" servers)
agent=$("$here/keylime.sh" agent)
manager=$("$here/tool.sh" spire-controller-manager)
promtool=$("$here/tool.sh" promtool)
folders=$("$here/../cluster/install.sh")
{ read -r programs; read -r tools; read -r _; } <<<"$folders"

mkdir -p "$links"
ln -sfn "$spire" "$links/spire"
ln -sfn "$servers" "$links/keylime"
ln -sfn "$agent" "$links/keylime-agent"
ln -sfn "$manager" "$links/spire-controller-manager"
ln -sfn "$promtool" "$links/promtool"
ln -sfn "$programs" "$links/cluster-programs"
ln -sfn "$tools" "$links/cluster-tools"
say "ready after $SECONDS s, cached in $CACHE"
