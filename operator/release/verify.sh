#!/usr/bin/env bash
# verify.sh VERSION [FOLDER]: whether what $REGISTRY has under that version, and the release's files in the folder, were signed by the public key in the
# file $KEY, or by the workflow $IDENTITY (a URL, https://…/.github/workflows/release.yaml@refs/tags/v1.2.3) of the issuer $ISSUER. Needs crane and cosign;
# PLAIN_HTTP=1 for a registry without TLS.
set -euo pipefail

version=$1
folder=${2:-}
registry=${REGISTRY:?expected where the release is, such as registry.example.org/keylime}
crane=(crane) http=()
if [ -n "${PLAIN_HTTP:-}" ]; then
  crane+=(--insecure) http=(--allow-http-registry)
fi
if [ -n "${KEY:-}" ]; then
  # A key's signatures are in no public log.
  signer=(--key "$KEY" --insecure-ignore-tlog)
else
  signer=(--certificate-identity "${IDENTITY:?expected KEY, or IDENTITY and ISSUER}" --certificate-oidc-issuer "${ISSUER:?expected it with IDENTITY}")
fi

by_digest() { # NAME: what the tag stands for now
  local digest
  digest=$("${crane[@]}" digest "$registry/$1:$version")
  echo "$registry/$1@$digest"
}

verify() { cosign "$@" >/dev/null; }

image=$(by_digest keylime-attestor)
chart=$(by_digest charts/keylime-attestor)
crds=$(by_digest charts/keylime-attestor-crds)
for thing in "$image" "$chart" "$crds"; do
  verify verify "${signer[@]}" "${http[@]}" "$thing"
done
for type in slsaprovenance1 cyclonedx; do
  verify verify-attestation "${signer[@]}" "${http[@]}" --type "$type" "$image"
done
if [ -n "$folder" ]; then
  verify verify-blob "${signer[@]}" --bundle "$folder/SHA256SUMS.sigstore.json" "$folder/SHA256SUMS"
  (cd "$folder" && sha256sum --check --quiet SHA256SUMS)
fi
printf 'verified: %s\n' "$image" "$chart" "$crds" ${folder:+"$folder"}
