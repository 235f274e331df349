#!/usr/bin/env bash
# Debian's packages: those given, or those that all of the lab needs. Only what is missing is installed.
set -euo pipefail
. "$(dirname "$0")/cache.sh"

packages=("$@")
[ $# -gt 0 ] || packages=(
  # To build: the C compiler for SPIRE's sqlite, the TPM stack for tss-esapi.
  gcc libc6-dev pkg-config libtss2-dev
  # To build the TPM stack for static programs, and to look at those.
  autoconf autoconf-archive automake bzip2 libltdl-dev libtool make file
  # Software TPMs, and what Keylime's programs call.
  swtpm swtpm-tools tpm2-tools libtss2-tcti-swtpm0 python3-venv python3-gpg
  # The lab itself, and make lint.
  curl openssl shellcheck
  # PROGRAM=PACKAGE: the program may as well be from elsewhere than Debian. For make lint and tests; for what comes from npm; for the cluster.
  git=git npm=npm systemd-analyze=systemd
  containerd=containerd runc=runc nft=nftables ip=iproute2 socat=socat /usr/lib/cni/bridge=containernetworking-plugins
)

root=()
uid=$(id -u)
[ "$uid" = 0 ] || root=(sudo)

install() {
  "${root[@]}" apt-get update -qq
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y -o Dpkg::Use-Pty=0 --no-install-recommends "$@"
}

installed=$(dpkg-query --show --showformat '${Package} ${db:Status-Status}\n')
missing=()
for package in "${packages[@]}"; do
  case $package in
    *=*) command -v "${package%%=*}" >/dev/null || missing+=("${package#*=}") ;;
    *) grep -qxF "$package installed" <<<"$installed" || missing+=("$package") ;;
  esac
done
[ ${#missing[@]} = 0 ] || step "installing Debian packages: ${missing[*]}" install "${missing[@]}"
