# PID 1 of one node's namespaces: containerd, kubelet, kube-proxy; a software TPM with Keylime's agent. Variables come from cluster.sh, and
# node, its number, from control-plane.sh.
# shellcheck shell=bash disable=SC2154
set -euo pipefail
. "$cluster/components.sh"
. "$cluster/cgroups.sh"

name=node$node
address=10.90.0.1$node
home=$state/$name
pki=$state/pki

# The node's own cgroups, sysfs and /run; what its programs keep elsewhere lies in the node's folder.
mounts() {
  mount --make-rprivate /
  mount -t tmpfs -o mode=755 tmpfs /run
  local root staged=/run/cgroups
  mkdir $staged
  for root in $(hierarchies); do
    mkdir -p "$staged/${root#/sys/fs/cgroup}"
    mount --bind "$root/$CGROUP/$name" "$staged/${root#/sys/fs/cgroup}"
  done
  mount -t sysfs sysfs /sys
  if mountpoint -q $staged; then
    mount --move $staged /sys/fs/cgroup
  else
    mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
    for root in "$staged"/*; do
      mkdir "/sys/fs/cgroup/${root##*/}"
      mount --move "$root" "/sys/fs/cgroup/${root##*/}"
    done
  fi
  # One mount each over these, so that nothing has to be made in the machine's.
  local folder
  for folder in /var/lib /var/log; do
    mkdir -p "$home$folder"
    mount --bind "$home$folder" $folder
  done
  mkdir /run/volumes
  mount --bind "$state/volumes" /run/volumes
  # For SPIRE's agents, which run as one user or another, without rights over files.
  mkdir -p /run/spire/agent-sockets /run/spire/agent-data/{0,1000}
  chmod 777 /run/spire/agent-sockets /run/spire/agent-data/*
  # The kubelet writes settings of the whole machine. Here it writes into copies of them.
  local setting
  for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
    mkdir -p "/run/settings/${setting%/*}"
    cat "/proc/sys/$setting" >"/run/settings/$setting"
    mount --bind "/run/settings/$setting" "/proc/sys/$setting"
  done
  mount --make-rshared /
}

network() {
  ip link set lo up
  until_done ip link show eth0
  ip address add "$address/24" dev eth0
  ip link set eth0 up
  ip route add default via 10.90.0.1
  echo 1 >/proc/sys/net/ipv4/ip_forward
  echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables
}

# fill FILE: a file of the manifests' folder, with this node's values, in the node's folder.
fill() {
  mkdir -p "$home/etc/cni"
  sed -e "s#NODE_NUMBER#$node#g" -e "s#NODE_NAME#$name#g" -e "s#NODE_HOME#$home#g" -e "s#PKI#$pki#g" "$cluster/manifests/$1" >"$home/etc/$2"
}

# The kubelet cannot start a pod without the image of pause. The others come after it: a pod that asks too early is tried again.
start_kubernetes() {
  fill containerd.toml containerd.toml
  fill cni.json cni/10-lab.conflist
  fill kubelet.yaml kubelet.yaml
  fill kube-proxy.yaml kube-proxy.yaml
  : >"$home/etc/resolv.conf"
  keep "$name-containerd" containerd --config "$home/etc/containerd.toml"
  until_done ctr version
  ctr --namespace k8s.io images import "$images/pause.tar"
  keep "$name-kubelet" kubelet --config "$home/etc/kubelet.yaml" --kubeconfig "$pki/$name.kubeconfig" \
    --hostname-override "$name" --node-ip "$address"
  keep "$name-kube-proxy" kube-proxy --config "$home/etc/kube-proxy.yaml"
  local image
  for image in "$images"/{coredns,spire-controller-manager}.tar "$spire_images"/*.tar; do ctr --namespace k8s.io images import "$image"; done
  touch "$state/ready/images-$name"
}

# A new TPM, with an EK certificate from an authority that the cluster's TPMs share.
start_tpm() {
  local authority=$state/ek-authority
  mkdir -p "$authority" "$home/tpm" "$state/ek-certificates"
  printf '%s\n' "statedir = $authority" "signingkey = $authority/signkey.pem" "issuercert = $authority/issuercert.pem" \
    "certserial = $authority/certserial" >"$home/tpm/localca.conf"
  printf -- '--platform-%s\n' 'manufacturer Lab' 'version 1' 'model Lab' >"$home/tpm/localca.options"
  printf '%s\n' 'create_certs_tool = swtpm_localca' "create_certs_tool_config = $home/tpm/localca.conf" \
    "create_certs_tool_options = $home/tpm/localca.options" 'active_pcr_banks = sha256' >"$home/tpm/setup.conf"
  swtpm_setup --tpm2 --tpmstate "$home/tpm" --config "$home/tpm/setup.conf" --create-ek-cert --create-platform-cert --vmid "$name"
  cp "$authority/issuercert.pem" "$authority/swtpm-localca-rootca-cert.pem" "$state/ek-certificates"
  keep "$name-tpm" swtpm socket --tpm2 --tpmstate "dir=$home/tpm" --flags not-need-init,startup-clear \
    --server type=tcp,bindaddr=127.0.0.1,port=2321 --ctrl type=tcp,bindaddr=127.0.0.1,port=2322
}

# The agent serves the node on loopback and the verifier at the node's address. It trusts the verifier's authority and the node's own.
start_keylime() {
  local servers_ca=$state/keylime/cv_ca/cacert.crt
  cat /proc/sys/kernel/random/uuid >"$home/agent-id"
  export KEYLIME_DIR=$home/keylime KEYLIME_LOGGING_CONFIG=$cluster/../keylime/logging.conf KEYLIME_AGENT_CONFIG=$cluster/../keylime/agent.conf
  export KEYLIME_AGENT_UUID KEYLIME_AGENT_IP=0.0.0.0 KEYLIME_AGENT_PORT=9002 KEYLIME_AGENT_CONTACT_IP=$address KEYLIME_AGENT_CONTACT_PORT=9002
  export KEYLIME_AGENT_REGISTRAR_IP=10.90.0.1 KEYLIME_AGENT_REGISTRAR_PORT=8890 KEYLIME_AGENT_ENABLE_AGENT_MTLS=True
  export KEYLIME_AGENT_TRUSTED_CLIENT_CA="['$servers_ca', '$pki/node-ca.crt']"
  export LAB_AGENT_INFO=1 TPM2TOOLS_TCTI=swtpm:host=127.0.0.1,port=2321
  KEYLIME_AGENT_UUID=$(cat "$home/agent-id")
  mkdir -p "$KEYLIME_DIR"
  until_done test -s "$servers_ca"
  until_done curl --silent http://10.90.0.1:8890/version
  keep "$name-keylime-agent" "$agent_env/bin/python" "$cluster/../keylime/agent.py"
  until_done curl --silent --fail --insecure --cert "$pki/node-client.crt" --key "$pki/node-client.key" https://127.0.0.1:9002/v2.2/agent/info
  touch "$state/ready/keylime-$name"
}

# An agent that opens no port. For the quoter the TPM is a device, as one of hardware is, and Keylime's files are those of a user of its own.
start_push_keylime() {
  local servers_ca=$state/keylime/cv_ca/cacert.crt log=$state/log/$name-keylime-agent.log device
  mkdir -m 700 /var/lib/keylime
  until_done test -s "$servers_ca"
  until_done curl --silent http://10.90.0.1:8890/version
  keep "$name-keylime-agent" env PYTHONDONTWRITEBYTECODE=1 "$servers_env/bin/python" "$cluster/../keylime/push_agent.py" --tpm 2321 \
    --data /var/lib/keylime/agent_data.json --registrar 10.90.0.1:8890 --verifier 10.90.0.1:8881 --ca "$servers_ca"
  until_done grep -q 'registered as ' "$log"
  sed -n 's/.*registered as //p' "$log" | head -n 1 >"$home/agent-id"
  chown -R 985:985 /var/lib/keylime
  keep "$name-tpm-device" python3 "$cluster/../tpm_device.py" 127.0.0.1 2321 /run/tpm-device
  until_done test -s /run/tpm-device
  device=$(cat /run/tpm-device)
  chown root:59 "$device"
  chmod 660 "$device"
  touch /run/tpmrm0
  mount --bind "$device" /run/tpmrm0
  touch "$state/ready/keylime-$name"
}

mounts
delegate_node_root
hostname "$name"
network
[ "$KEYLIME" = no ] || (
  start_tpm
  if [ "$KEYLIME" = push ]; then start_push_keylime; else start_keylime; fi
  wait
) &
start_kubernetes
wait
