#!/usr/bin/env bash
# One Kubernetes cluster of two nodes, in namespaces of this machine: up while this runs, gone without a trace when it ends, which it does
# when its standard input closes, on SIGTERM, or with the control plane. There is one at a time on a machine; the next waits. When it can be
# used, standard output has the folders of the cluster's files, of the built programs and of the ready-made ones, a line each.
# In the environment: API_PORT, the loopback port of the apiserver; KEYLIME=no leaves Keylime out, KEYLIME=push has it in push mode; SPIRE_VERSION, of which the nodes have
# images; NODE_RESTRICTION=no leaves that admission plugin out, as a kube-apiserver does that is told nothing.
#
#   this script          the namespaces' starter, and a port of the machine that leads to the apiserver
#   └ control-plane.sh   PID 1 of PID, mount, network, UTS and IPC namespaces; etcd, the control plane, Keylime's servers
#     └ node.sh (twice)  PID 1 of the same within them, with a cgroup namespace; containerd, kubelet, kube-proxy, a TPM, Keylime's agent
#
# Whoever of them is killed, the kernel ends all below it: a PID namespace ends with its PID 1, which gets SIGKILL with its starter. The lock
# is held by every process of the cluster, so that the next cluster begins when the last process of this one is gone.
set -euo pipefail
cluster=$(cd "$(dirname "$0")" && pwd)
. "$cluster/../setup/cache.sh"
. "$cluster/cgroups.sh"

[ "$EUID" = 0 ] || { say 'the cluster needs root: for namespaces, mounts and cgroups of its own'; exit 77; }
[ -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || { say "the cluster needs the kernel's br_netfilter: modprobe br_netfilter"; exit 77; }

state=$CACHE/cluster
API_PORT=${API_PORT:-16443}
KEYLIME=${KEYLIME:-yes}
SPIRE_VERSION=${SPIRE_VERSION:-1.15.3}
NODE_RESTRICTION=${NODE_RESTRICTION:-yes}
for folder in "$cluster" "$CACHE"; do
  case $folder in
    /run/* | /var/lib/* | /var/log/*) say "the cluster's nodes have their own /run, /var/lib and /var/log: move $folder elsewhere"; exit 1 ;;
    /*) ;;
    *) say "expected an absolute path, not $folder"; exit 1 ;;
  esac
done

stop() {
  local status=$?
  trap - EXIT INT TERM
  # What is asked to end says so with these.
  case $status in 0 | 143) ;; *) tail -n 20 "$state"/log/*.log >&2 ;; esac
  [ -z "${namespaces:-}" ] || { kill -KILL "$namespaces" 2>/dev/null; wait "$namespaces" 2>/dev/null; } || :
  [ -z "${forward:-}" ] || kill "$forward" 2>/dev/null || :
  # The kernel ends the processes one by one: the last has ended when this lock is free. The other one is kept, for which the next cluster waits.
  exec {processes}>&-
  exec {processes}>"$LOCK-processes"
  flock "$processes"
  remove_rest
  exit $status
}

# A cluster whose starter was killed leaves empty cgroups and files.
remove_rest() {
  remove_cgroups
  rm -rf "$state"
}

kubectl() { "$tools/kubectl" --kubeconfig "$state/pki/host.kubeconfig" "$@" >>"$state/log/kubectl.log" 2>&1; }

# until_done TEXT COMMAND...: tries a command until it succeeds, for two minutes at most and not longer than the cluster lives.
until_done() {
  local deadline=$((SECONDS + 120))
  until "${@:2}"; do
    [ -e "/proc/$namespaces" ] || { say "$1: the control plane ended"; exit 1; }
    [ $SECONDS -lt $deadline ] || { say "$1: not within two minutes"; exit 1; }
    sleep 0.1
  done
  local now
  now=$(date +%s%3N)
  say "$((now - begun)) ms: $1"
}

volumes() {
  local number
  for number in 1 2 3 4 5 6; do
    mkdir -m 777 "$state/volumes/$number"
    cat <<END
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: volume-$number}
spec:
  storageClassName: lab
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  hostPath: {path: /run/volumes/$number}
END
  done
}

folders=$("$cluster/install.sh")
{ read -r programs; read -r tools; read -r images; } <<<"$folders"
spire_images=$("$cluster/../setup/spire-images.sh" "$SPIRE_VERSION")
servers_env=$("$cluster/../setup/keylime.sh" servers)
agent_env=$("$cluster/../setup/keylime.sh" agent)

LOCK=/run/lock/keylime-attestor-cluster
exec {lock}>"$LOCK"
flock -n "$lock" || step 'waiting for another cluster to end' flock "$lock"
# Every process of the cluster inherits both.
exec {processes}>"$LOCK-processes"
flock "$processes"
begun=$(date +%s%3N)
remove_rest
# The nodes' unpacked images and the logs of a long test take 1.4 GiB: without them pods would wait for what never comes.
free=$(df --output=avail --block-size=M "$CACHE" | tail -n 1)
((${free%M} >= 2048)) || { say "the cluster needs 2048 MiB of free disk in $CACHE; ${free%M} MiB are free: make room there"; exit 1; }
trap stop EXIT
trap 'exit 143' INT TERM
mkdir -p "$state"/{log,pid,held,ready,pki,volumes}
make_cgroups
"$cluster/certificates.sh" "$state/pki" "$API_PORT"

# A clean environment: nothing of the machine's, such as a proxy, acts in the cluster.
setpriv --pdeathsig KILL env -i "PATH=$programs:$tools:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" HOME=/root LANG=C.UTF-8 \
  "state=$state" "cluster=$cluster" "images=$images" "spire_images=$spire_images" "KEYLIME=$KEYLIME" \
  "NODE_RESTRICTION=$NODE_RESTRICTION" "servers_env=$servers_env" "agent_env=$agent_env" \
  unshare --fork --kill-child --pid --mount-proc --mount --net --uts --ipc bash "$cluster/control-plane.sh" \
  <&0 >"$state/log/control-plane.log" 2>&1 &
namespaces=$!
setpriv --pdeathsig KILL socat "TCP-LISTEN:$API_PORT,bind=127.0.0.1,fork,reuseaddr,backlog=128" "UNIX-CONNECT:$state/api.sock" \
  </dev/null 2>"$state/log/forward.log" &
forward=$!
until_done 'certificates and namespaces' test -e "$state/pid/node2"
tr -d ' ' <"/proc/$namespaces/task/$namespaces/children" >"$state/pid/control-plane"

until_done 'apiserver' kubectl get --raw /readyz
volumes >"$state/volumes.yaml"
until_done 'manifests applied' kubectl apply --filename "$cluster/manifests/cluster.yaml" --filename "$state/volumes.yaml"
until_done 'nodes' kubectl wait --for=condition=Ready node/node1 node/node2 --timeout=1s
until_done 'default service account' kubectl --namespace default get serviceaccount default
until_done 'CoreDNS' kubectl --namespace kube-system rollout status deployment/coredns --timeout=1s
until_done 'images' test -e "$state/ready/images-node1" -a -e "$state/ready/images-node2"
[ "$KEYLIME" = no ] || until_done 'Keylime agents enrolled' test -e "$state/ready/enrolled-node1" -a -e "$state/ready/enrolled-node2"
printf '%s\n' "$state" "$programs" "$tools"
wait "$namespaces"
