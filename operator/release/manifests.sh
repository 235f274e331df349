#!/usr/bin/env bash
# manifests.sh IMAGE: prints the CustomResourceDefinitions and the operator's objects, for kubectl, with that image.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
version=$(operator/release/version.sh)

for crd in crds/*.yaml; do
  echo ---
  cat "$crd"
done
echo ---
sed "s|localhost/keylime-attestor:$version|$1|" charts/manifests/keylime-attestor.yaml
