#!/usr/bin/env bash
# Builds the programs of this module into the folder given. At a low priority, for the sake of who else works on the machine, and without
# debug information, which takes a fifth of the time.
set -euo pipefail
cd "$(dirname "$0")"

required() { awk -v module="$1" '$1 == module && $2 != "=>" { print $2 }' go.mod; }

kubernetes=$(required k8s.io/kubernetes)
minor=${kubernetes#v1.}
helm=$(required helm.sh/helm/v3)
CGO_ENABLED=0 GOFLAGS=-mod=readonly nice -n 10 go build -o "$1/" -trimpath -gcflags all=-dwarf=false -ldflags "-s -w
  -X k8s.io/component-base/version.gitVersion=$kubernetes -X k8s.io/client-go/pkg/version.gitVersion=$kubernetes
  -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=${minor%%.*}
  -X helm.sh/helm/v3/internal/version.version=$helm
  -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=${minor%%.*}" \
  ./kube ./coredns ./pause helm.sh/helm/v3/cmd/helm
mv "$1/helm" "$1/helm3"
for component in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy; do ln -s kube "$1/$component"; done
