#!/usr/bin/env bash
# Prints the address of the Debian archive that this machine's apt is set up with, so that no file has to name one.
set -euo pipefail

# shellcheck disable=SC2016 # apt fills it in
find_mirror() { apt-get "$@" indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Origin: Debian' 'Label: Debian' 'Component: main'; }

mirrors=$(find_mirror)
if [ -z "$mirrors" ]; then
  # The machine's own lists, which tell whose archive an address is, were removed, as images do to be small.
  lists=$(mktemp -d)
  trap 'rm -rf "$lists"' EXIT
  chmod 755 "$lists"
  mkdir "$lists/partial"
  # One dead source among the machine's need not be Debian's: what counts is what was found.
  apt-get -o "Dir::State::Lists=$lists" update >&2 || :
  mirrors=$(find_mirror -o "Dir::State::Lists=$lists")
fi
read -r mirror <<<"$mirrors"
[ -n "$mirror" ] || { echo "expected Debian's archive among the sources of apt: add it in /etc/apt/sources.list.d" >&2; exit 1; }
echo "$mirror"
