#!/usr/bin/env bash
# release.sh VERSION [FOLDER...]: makes all files of a release in target/dist/VERSION, for the registry $REGISTRY, and pushes nothing. Each folder has
# the programs of one architecture, as operator/image/programs.sh made them of this commit; without any, this machine's are made. What is in the files:
# operator/docs/releases.md. Needs cargo-cyclonedx.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
here=operator/release

fail() { echo "$*" >&2; exit 1; }

version=$1
shift
known=$($here/version.sh)
[ "$version" = "$known" ] || fail "expected VERSION=$known, which Cargo.toml has, got $version: $here/version.sh $version sets it"
[ -n "${REGISTRY:-}" ] || fail 'expected REGISTRY, where the release will be pulled from, such as registry.example.org/keylime'
changed=$(git status --porcelain)
[ -z "$changed" ] || fail "expected a checkout as it was committed, so that the release can tell its sources; these differ:
$changed"

name=keylime-attestor-$version
dist=target/dist/$version
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf "$dist"
mkdir -p "$dist" "$work/files"
image=$REGISTRY/keylime-attestor

images=()
if [ $# = 0 ]; then
  operator/image/image.sh >&2
  images=(target/image/keylime-attestor.oci.tar)
fi
# Each image has the checksums of the plugins of all.
[ $# = 0 ] || operator/image/checksums.sh "$@"
for folder in "$@"; do
  images+=("$work/${#images[@]}.oci.tar")
  operator/image/oci.py Containerfile "$folder" "${images[-1]}" >&2
done
digest=$($here/index.py "$image:$version" "$work/files/$name.oci.tar" "${images[@]}")
$here/charts.sh "$work/files" "$image" "$digest"
$here/manifests.sh "$image@$digest" >"$work/files/$name.yaml"
$here/sbom.py "$image" "$digest" >"$work/files/$name.cdx.json"
cp operator/docs/changelog.md "$work/files/CHANGELOG.md"
$here/provenance.py "$REGISTRY" "$digest" "$work/files" >"$work/$name.provenance.json"
mv "$work/$name.provenance.json" "$work/files/"
(cd "$work/files" && sha256sum -- *) >"$work/SHA256SUMS"
mv "$work/files"/* "$work/SHA256SUMS" "$dist/"
echo "$dist: $image@$digest"
