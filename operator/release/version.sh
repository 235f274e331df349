#!/usr/bin/env bash
# version.sh: prints the version, whose home is Cargo.toml. version.sh VERSION: sets it there and in all that repeats it, for the commit that is
# released; what it leaves out, `cargo test --workspace --test repo version` finds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if [ $# = 0 ]; then
  sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml
  exit
fi
[[ $1 =~ ^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] || { echo "expected a version such as 1.2.3 or 1.2.3-rc.1, got $1" >&2; exit 1; }
sed -i "/^\[workspace.package\]/,/^\[/s/^version = .*/version = \"$1\"/" Cargo.toml
sed -i -E "s/^(version|appVersion): .*/\1: $1/" charts/keylime-attestor{,-crds}/Chart.yaml
sed -i "s/\(image.version=\)\"[^\"]*\"/\1\"$1\"/" Containerfile
sed -i -E "s/(app.kubernetes.io\/version: )\".*\"/\1\"$1\"/; s/(localhost\/keylime-attestor:)[0-9A-Za-z.-]+/\1$1/" charts/manifests/keylime-attestor.yaml
cargo update --quiet --workspace --offline
