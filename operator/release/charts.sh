#!/usr/bin/env bash
# charts.sh FOLDER IMAGE DIGEST: packs the charts into FOLDER, that of the operator with the image filled in. The same sources give the same bytes.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(cd "$1" && pwd)
cd "$here/../../charts"
version=$("$here/version.sh")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fill() { # KEY VALUE: in the values, where that key has its default once
  local values=$work/keylime-attestor/values.yaml key=$1 found
  found=$(grep -c "^  $key: " "$values") || :
  [ "$found" = 1 ] || { echo "expected one $key in values.yaml: change $0" >&2; exit 1; }
  sed -i "s|^  $key: .*|  $key: \"$2\"|" "$values"
}

# The files of the CRDs' chart are links.
cp -rL keylime-attestor keylime-attestor-crds "$work"
chmod -R u=rwX,go=rX "$work"
fill repository "$2"
fill digest "$3"
for chart in keylime-attestor keylime-attestor-crds; do
  # As Helm does.
  ignored=$work/$chart/.helmignore
  [ -e "$ignored" ] || ignored=/dev/null
  tar --create --directory "$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 --exclude-from "$ignored" --exclude .helmignore "$chart" |
    gzip --no-name >"$out/$chart-$version.tgz"
done
