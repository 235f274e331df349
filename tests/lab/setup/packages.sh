#!/usr/bin/env bash
# Debian's packages: those given, or those that all of the lab needs. Only what is missing is installed.
set -euo pipefail
. "$(dirname "$0")/cache.sh"

packages=("$@")
[ $# -gt 0 ] || packages=(
  # To build: the C compiler for SPIRE's sqlite, the TPM stack for tss-esapi.
  gcc libc6-dev pkg-config libtss2-dev
  # To build the TPM stack for static programs, and to look at those.
  autoconf autoconf-archive automake libtool make file iproute2
  # Software TPMs, and what Keylime's programs call.
  swtpm swtpm-tools tpm2-tools libtss2-tcti-swtpm0 python3-venv python3-gpg
  # The lab itself, and make lint.
  curl openssl shellcheck
)

root=()
[ "$(id -u)" = 0 ] || root=(sudo)

install() {
  "${root[@]}" apt-get update -qq
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y -o Dpkg::Use-Pty=0 --no-install-recommends "$@"
}

missing=()
for package in "${packages[@]}"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} = 0 ] || step "installing Debian packages: ${missing[*]}" install "${missing[@]}"
