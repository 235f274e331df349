#!/usr/bin/env bash
# publish.sh VERSION: pushes the release that release.sh made to $REGISTRY, and signs it there: with the key in the file $SIGN, whose password is
# $COSIGN_PASSWORD; as who the workflow is (SIGN=keyless); or not (SIGN=no). Image and charts are signed by digest; SBOM and provenance are attested
# of the image; SHA256SUMS has its signature beside it. Needs crane, Helm ($HELM) and cosign; PLAIN_HTTP=1 for a registry without TLS.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

fail() { echo "$*" >&2; exit 1; }

version=$1
name=keylime-attestor-$version
dist=$PWD/target/dist/$version
registry=${REGISTRY:?expected where the release is pushed to, such as registry.example.org/keylime}
image=$registry/keylime-attestor
case ${SIGN:-} in
  '') fail 'expected SIGN: the file of a key of cosign, keyless, or no' ;;
  no | keyless) ;;
  *) [ -f "$SIGN" ] || fail "expected a key of cosign in $SIGN, keyless, or no; make one by: cosign generate-key-pair" ;;
esac
grep -qF "\"$image@sha256:" "$dist/$name.yaml" || fail "expected a release for $registry in $dist: make it with REGISTRY=$registry"
(cd "$dist" && sha256sum --check --quiet SHA256SUMS)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
crane=(crane) helm=("${HELM:-helm}" push) http=()
if [ -n "${PLAIN_HTTP:-}" ]; then
  crane+=(--insecure) helm+=(--plain-http) http=(--allow-http-registry)
fi

push_image() {
  mkdir "$work/layout"
  tar --extract --file "$dist/$name.oci.tar" --directory "$work/layout"
  local pushed
  pushed=$("${crane[@]}" push "$work/layout" "$image:$version")
  grep -qF "\"$pushed\"" "$dist/$name.yaml" || fail "expected the image that the release names, $pushed was pushed"
  echo "$pushed"
}

push_chart() { # CHART: prints what was pushed, by digest
  local digest
  "${helm[@]}" "$dist/$1-$version.tgz" "oci://$registry/charts" >"$work/pushed" 2>&1 || { cat "$work/pushed" >&2; return 1; }
  digest=$(sed -n 's/^Digest: //p' "$work/pushed")
  echo "$registry/charts/$1@$digest"
}

# Without Sigstore's services: a key's signatures need none of them.
sign_options() {
  if [ "$SIGN" = keyless ]; then
    options=(--yes)
  else
    cosign signing-config create --out "$work/services.json"
    options=(--yes --key "$SIGN" --signing-config "$work/services.json")
  fi
}

sign() {
  local thing
  for thing in "$@"; do cosign sign "${options[@]}" "${http[@]}" "$thing"; done
  python3 -c 'import json, sys; json.dump(json.load(sys.stdin)["predicate"], sys.stdout)' <"$dist/$name.provenance.json" >"$work/provenance.json"
  cosign attest "${options[@]}" "${http[@]}" --type slsaprovenance1 --predicate "$work/provenance.json" "$1"
  cosign attest "${options[@]}" "${http[@]}" --type cyclonedx --predicate "$dist/$name.cdx.json" "$1"
  cosign sign-blob "${options[@]}" --bundle "$dist/SHA256SUMS.sigstore.json" "$dist/SHA256SUMS"
}

pushed=$(push_image)
chart=$(push_chart keylime-attestor)
crds=$(push_chart keylime-attestor-crds)
if [ "$SIGN" != no ]; then
  options=()
  sign_options
  sign "$pushed" "$chart" "$crds" >&2
fi
printf '%s\n' "$pushed" "$chart" "$crds"
