#!/usr/bin/env bash
# Every key and certificate of one cluster, and the kubeconfigs made of them. Usage: certificates.sh FOLDER PORT, the port of the machine
# that leads to the apiserver.
set -euo pipefail
cd "$1"
port=$2

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key" 2>/dev/null; }

authority() { # NAME
  key "$1"
  openssl req -x509 -new -key "$1.key" -subj "/CN=$1" -days 30 -out "$1.crt" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,digitalSignature
}

certificate() { # NAME AUTHORITY SUBJECT serverAuth|clientAuth [ALTERNATIVE-NAMES]
  key "$1"
  local serial extensions
  serial=$(openssl rand -hex 8)
  extensions=$(printf '%s\n' basicConstraints=CA:FALSE keyUsage=critical,digitalSignature "extendedKeyUsage=$4" "${5:+subjectAltName=$5}")
  openssl req -new -key "$1.key" -subj "$3" |
    openssl x509 -req -CA "$2.crt" -CAkey "$2.key" -set_serial "0x$serial" -days 30 -out "$1.crt" -extfile /dev/fd/3 3<<<"$extensions" 2>/dev/null
}

kubeconfig() { # FILE CERTIFICATE SERVER
  local authority certificate key
  authority=$(base64 -w0 kubernetes-ca.crt)
  certificate=$(base64 -w0 "$2.crt")
  key=$(base64 -w0 "$2.key")
  cat >"$1.kubeconfig" <<END
apiVersion: v1
kind: Config
clusters: [{name: lab, cluster: {server: "$3", certificate-authority-data: $authority}}]
users: [{name: lab, user: {client-certificate-data: $certificate, client-key-data: $key}}]
contexts: [{name: lab, context: {cluster: lab, user: lab}}]
current-context: lab
END
}

inside=https://10.90.0.1:6443
authority kubernetes-ca
authority front-proxy-ca
# The Keylime agents trust this one for requests from their own node; Keylime's servers don't.
authority node-ca
openssl genrsa -out service-accounts.key 2048 2>/dev/null

certificate apiserver kubernetes-ca /CN=kube-apiserver serverAuth \
  DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:10.96.0.1,IP:10.90.0.1
certificate apiserver-kubelet kubernetes-ca /CN=kube-apiserver-kubelet clientAuth
certificate front-proxy front-proxy-ca /CN=front-proxy clientAuth
certificate node-client node-ca /CN=node-client clientAuth

certificate admin kubernetes-ca /O=system:masters/CN=admin clientAuth
kubeconfig host admin "https://127.0.0.1:$port"
for component in kube-controller-manager kube-scheduler kube-proxy; do
  certificate $component kubernetes-ca /CN=system:$component clientAuth
  kubeconfig $component $component $inside
done
for node in 1 2; do
  certificate node$node kubernetes-ca /O=system:nodes/CN=system:node:node$node clientAuth
  certificate node$node-serving kubernetes-ca /O=system:nodes/CN=system:node:node$node serverAuth DNS:node$node,IP:10.90.0.1$node
  kubeconfig node$node node$node $inside
done
