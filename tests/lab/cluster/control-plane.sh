# PID 1 of the control plane's namespaces: the bridge that the nodes hang on, etcd, Kubernetes' control plane and Keylime's servers. Ends,
# and with it the cluster, when standard input does. Variables come from cluster.sh.
# shellcheck shell=bash disable=SC2154
set -euo pipefail
. "$cluster/components.sh"
. "$cluster/cgroups.sh"

pki=$state/pki
keylime_files=$cluster/../keylime

network() {
  ip link set lo up
  ip link add br0 type bridge
  ip address add 10.90.0.1/24 dev br0
  ip link set br0 up
  echo 1 >/proc/sys/net/ipv4/ip_forward
}

start_etcd() {
  # Nothing of it has to survive, so nothing is synced to the disk.
  keep etcd etcd --data-dir "$state/etcd" --unsafe-no-fsync \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380
}

start_apiserver() {
  local plugins=()
  [ "$NODE_RESTRICTION" = no ] || plugins=(--enable-admission-plugins NodeRestriction)
  keep kube-apiserver kube-apiserver --etcd-servers http://127.0.0.1:2379 --advertise-address 10.90.0.1 \
    --service-cluster-ip-range 10.96.0.0/16 --allow-privileged --authorization-mode Node,RBAC "${plugins[@]}" \
    --client-ca-file "$pki/kubernetes-ca.crt" --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" \
    --kubelet-certificate-authority "$pki/kubernetes-ca.crt" --kubelet-preferred-address-types InternalIP \
    --kubelet-client-certificate "$pki/apiserver-kubelet.crt" --kubelet-client-key "$pki/apiserver-kubelet.key" \
    --service-account-issuer https://kubernetes.default.svc.cluster.local \
    --service-account-key-file "$pki/service-accounts.key" --service-account-signing-key-file "$pki/service-accounts.key" \
    --requestheader-client-ca-file "$pki/front-proxy-ca.crt" --requestheader-allowed-names front-proxy \
    --requestheader-username-headers X-Remote-User --requestheader-group-headers X-Remote-Group \
    --requestheader-extra-headers-prefix X-Remote-Extra- \
    --proxy-client-cert-file "$pki/front-proxy.crt" --proxy-client-key-file "$pki/front-proxy.key" --enable-aggregator-routing \
    --audit-policy-file "$cluster/manifests/audit.yaml" --audit-log-path "$state/log/audit.jsonl"
  # A path leads out of the network namespace where a port doesn't.
  keep api-socket socat "UNIX-LISTEN:$state/api.sock,fork,unlink-early,backlog=128" TCP:127.0.0.1:6443
}

# Both would end when they come before the rules that the apiserver makes for them.
start_controllers() {
  until_done curl --silent --fail --cacert "$pki/kubernetes-ca.crt" https://10.90.0.1:6443/readyz
  local name
  for name in kube-controller-manager kube-scheduler; do
    local flags=(--kubeconfig "$pki/$name.kubeconfig" --authentication-kubeconfig "$pki/$name.kubeconfig"
      --authorization-kubeconfig "$pki/$name.kubeconfig" --leader-elect=false --bind-address 127.0.0.1
      # The default of 20 requests a second costs 4 s at the start.
      --kube-api-qps 500 --kube-api-burst 1000)
    [ $name = kube-scheduler ] || flags+=(--use-service-account-credentials --service-account-private-key-file "$pki/service-accounts.key"
      --root-ca-file "$pki/kubernetes-ca.crt" --cluster-signing-cert-file "$pki/kubernetes-ca.crt"
      --cluster-signing-key-file "$pki/kubernetes-ca.key")
    keep $name $name "${flags[@]}"
  done
}

# Starts node $1 in namespaces of its own and lays its cable.
start_node() {
  (
    enter_cgroups "node$1"
    exec env "node=$1" unshare --fork --pid --mount-proc --mount --net --uts --ipc --cgroup bash "$cluster/node.sh" \
      >"$state/log/node$1.log" 2>&1 </dev/null
  ) &
  local starter=$! init=
  until grep -qx unshare "/proc/$starter/comm" && init=$(tr -d ' ' <"/proc/$starter/task/$starter/children") && [ -n "$init" ]; do sleep 0.02; done
  leave_node_root "node$1" $starter
  echo "$init" >"$state/pid/node$1"
  ip link add "cable$1" type veth peer name eth0 netns "$init"
  ip link set "cable$1" master br0 up
  ip route add "10.91.$1.0/24" via "10.90.0.1$1"
}

# Where Keylime's servers keep their files, and what they are reached by.
keylime_environment() {
  export KEYLIME_DIR=$state/keylime KEYLIME_LOGGING_CONFIG=$keylime_files/logging.conf KEYLIME_CA_CONFIG=$keylime_files/ca.conf
  export KEYLIME_VERIFIER_CONFIG=$keylime_files/verifier.conf KEYLIME_VERIFIER_IP=0.0.0.0 KEYLIME_VERIFIER_PORT=8881
  export KEYLIME_VERIFIER_REGISTRAR_PORT=8891 KEYLIME_VERIFIER_ENABLE_AGENT_MTLS=True KEYLIME_VERIFIER_QUOTE_INTERVAL=1
  export KEYLIME_VERIFIER_CERT_SUBJECT_ALTERNATIVE_NAMES=verifier.keylime.svc,registrar.keylime.svc,10.90.0.1
  export KEYLIME_REGISTRAR_CONFIG=$keylime_files/registrar.conf KEYLIME_REGISTRAR_IP=0.0.0.0
  export KEYLIME_REGISTRAR_PORT=8890 KEYLIME_REGISTRAR_TLS_PORT=8891
  export KEYLIME_TENANT_CONFIG=$keylime_files/tenant.conf KEYLIME_TENANT_VERIFIER_PORT=8881 KEYLIME_TENANT_REGISTRAR_PORT=8891
  export KEYLIME_TENANT_ENABLE_AGENT_MTLS=True KEYLIME_TENANT_TPM_CERT_STORE=$state/ek-certificates
  # A node is missed after five intervals. The lab's push agent has no EK certificate.
  [ "$KEYLIME" != push ] || export KEYLIME_VERIFIER_MODE=push KEYLIME_VERIFIER_QUOTE_INTERVAL=3 KEYLIME_TENANT_REQUIRE_EK_CERT=False
}

# The verifier makes the certificate authority that the registrar reads when it starts.
start_keylime() {
  mkdir -p "$KEYLIME_DIR"
  keep keylime-verifier "$servers_env/bin/python" "$keylime_files/server.py" keylime.cmd.verifier
  until_done test -s "$KEYLIME_DIR/cv_ca/client-cert.crt"
  keep keylime-registrar "$servers_env/bin/python" "$keylime_files/server.py" keylime.cmd.registrar
}

# Keylime's tenant with this environment, for people as well.
write_tenant() {
  { export -p; printf 'exec %q -m keylime.cmd.tenant "$@"\n' "$servers_env/bin/python"; } >"$state/tenant.sh"
}

# The node's agent is enrolled once it has registered. Its policy names the PCR that software may reset, so that a test can make the node fail
# and repair it.
enrol() {
  until_done test -e "$state/ready/keylime-node$1"
  local id zeros push=()
  [ "$KEYLIME" != push ] || push=(--push-model)
  id=$(cat "$state/node$1/agent-id")
  zeros=$(printf '%064d' 0)
  until bash "$state/tenant.sh" -c add "${push[@]}" -t "10.90.0.1$1" -v 127.0.0.1 -u "$id" \
    --tpm_policy "{\"23\": [\"$zeros\"]}" >>"$state/log/keylime-tenant-node$1.log" 2>&1; do sleep 0.2; done
  touch "$state/ready/enrolled-node$1"
}

mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
hostname control-plane
network
start_etcd
start_apiserver
start_node 1
start_node 2
[ "$KEYLIME" = no ] || (
  keylime_environment
  write_tenant
  start_keylime
  enrol 1 &
  enrol 2 &
  wait
) &
start_controllers
# Whoever started the cluster holds the other end.
while read -r _; do :; done
