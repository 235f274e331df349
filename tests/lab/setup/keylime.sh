#!/usr/bin/env bash
# Keylime from PyPI, in an environment of Debian's own Python (the module gpg is built for that one):
# "servers" is the verifier, the registrar and the tenant, "agent" the last release that has an agent. Prints
# the environment's folder. Its programs are started as `python -m`, because the scripts in bin/ hold the path
# that it had while it was made.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/cache.sh"
requirements=$here/../keylime/$1.txt

install() {
  /usr/bin/python3 -m venv "$1"
  "$1/bin/python" -m pip install --quiet --no-deps --require-hashes --requirement "$requirements"
  local site
  for site in "$1"/lib/python3.*/site-packages; do ln -s /usr/lib/python3/dist-packages/gpg "$site/gpg"; done
}

entry=keylime-$1-$(key "$requirements" install)
release=$(grep -o "^keylime==[0-9.]*" "$requirements")
cached "$entry" "installing $release ($1)" install
echo "$CACHE/$entry"
