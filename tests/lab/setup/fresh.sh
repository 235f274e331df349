#!/usr/bin/env bash
# fresh.sh FOLDER TARGET...: runs targets of the Makefile on a fresh Debian 12 that has Rust, Go, make and certificates, and nothing else; names
# the package whose absence stopped one. What runs is what is committed. Debian is made anew in FOLDER/root, by debootstrap from the machine's own mirror, and stays there to be
# looked at; with AGAIN=1 in the environment the one that is there is used once more, for what is committed by now. Shared with the machine are the toolchains, and what Go and cargo downloaded or compiled from sources alone (Go asks for the
# C compiler before it takes a result of it from its cache); not the lab's cache, not cargo's target.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/cache.sh"
project=$(cd "$here/../../.." && pwd)
folder=$(mkdir -p "$1" && cd "$1" && pwd)
root=$folder/root

[ "$EUID" = 0 ] || { say 'this needs root, for debootstrap and mounts: sudo --preserve-env=PATH make fresh'; exit 77; }

# Mounts and processes end with namespaces of their own, however this ends.
if [ "${FRESH:-}" != inside ]; then
  FRESH=inside exec unshare --mount --propagation private --pid --fork --kill-child "$0" "$@"
fi

install_debian() {
  rm -rf --one-file-system "$root"
  local mirror
  mirror=$("$project/operator/image/debian-mirror.sh")
  debootstrap --variant=minbase --include=ca-certificates,make bookworm "$root" "$mirror"
  # How this machine reaches the world.
  cp --dereference /etc/resolv.conf /etc/hosts "$root/etc"
  apt-config dump | grep -E '^Acquire::(https?::|Check-)' >"$root/etc/apt/apt.conf.d/99-of-the-machine" || :
  cp -r /usr/local/share/ca-certificates "$root/usr/local/share"
  chroot "$root" update-ca-certificates
  [ ! -e /etc/pip.conf ] || cp /etc/pip.conf "$root/etc"
}

# share PATH...: the same folders of the machine, at the same place.
share() {
  local path
  for path in "$@"; do
    mkdir -p "$path" "$root$path"
    mount --rbind "$path" "$root$path"
  done
}

enter() {
  mount --bind "$root" "$root"
  # One cluster at a time: also beside the machine's own.
  share /sys /dev /run/lock "$CARGO_HOME" "$RUSTUP_HOME" "${go[@]}"
  mkdir -p "$root/proc" "$root/machine"
  mount -t proc proc "$root/proc"
  cd "$root"
  pivot_root . machine
  umount --lazy /machine
  cd /root/keylime-attestor
}

export CARGO_HOME=${CARGO_HOME:-$HOME/.cargo} RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}
settings=$(go env GOROOT GOMODCACHE GOCACHE)
mapfile -t go <<<"$settings"
# What tells the programs of a machine how it reaches registries.
mapfile -t own < <(env | grep -iE '^([a-z_]*_proxy|GO(PROXY|SUMDB|NOSUMDB|FLAGS)|PIP_(INDEX_URL|CERT)|NPM_CONFIG_REGISTRY|NODE_EXTRA_CA_CERTS|SSL_CERT_FILE)=' || :)

"$here/packages.sh" debootstrap git
checkout=$root/root/keylime-attestor
if [ -n "${AGAIN:-}" ]; then
  git -C "$checkout" fetch --quiet "$project" HEAD
  git -C "$checkout" reset --quiet --hard FETCH_HEAD
else
  step 'installing Debian 12 in a folder (about 2 minutes)' install_debian
  git clone --quiet --no-hardlinks "$project" "$checkout"
fi
enter
status=0
env -i "${own[@]}" HOME=/root LANG=C.UTF-8 TERM="${TERM:-dumb}" CARGO_HOME="$CARGO_HOME" RUSTUP_HOME="$RUSTUP_HOME" \
  GOMODCACHE="${go[1]}" GOCACHE="${go[2]}" PATH="$CARGO_HOME/bin:${go[0]}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
  make "${@:2}" 2>&1 | tee /root/make.log || status=$?
if [ $status != 0 ]; then
  tests/lab/setup/missing.sh /root/make.log /root/.cache/keylime-attestor/log/*.log || :
  say "make ${*:2}: FAILED on a fresh Debian 12, which is in $root"
  exit $status
fi
say "make ${*:2}: done on a fresh Debian 12 after $SECONDS s"
