#!/usr/bin/env bash
# The TCG's TPM stack as static libraries, reduced to what tss-esapi links. Prints the folder with its pkg-config files.
# Needs autoconf, autoconf-archive, automake, bzip2, libltdl-dev, libtool, pkg-config, make, a C compiler, and Debian's apt for the sources.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Distributions' own packages hold no static libraries.
release=trixie
# The stack's cryptography: a TPM's keys cannot be loaded without (hashes, HMACs, random numbers). It is what stays small of those that
# the stack can use. It has no part in what the plugins verify.
mbedtls=3.6.6
mbedtls_sha256=8fb65fae8dcae5840f793c0a334860a411f884cc537ea290ce1c52bb64ca007a
tss=4.1.3
tss_sha256=8a389bda64690910e7af7deaf64703a3faed416dc538c9c3e4f893f24893524d

options=(
  --disable-shared --with-pic
  # No dlopen in a static program. One way to a TPM, the kernel's device: with two of them, their names collide.
  --enable-nodl --disable-tcti-{cmd,i2c-ftdi,i2c-helper,libtpms,mssim,pcap,spi-ftdi,spi-helper,spi-ltt2go,spidev,swtpm}
  --with-crypto=mbed --disable-fapi --disable-policy --disable-vendor --disable-doxygen-doc
  # The standard error of a plugin is SPIRE's log: nothing may write there beside the plugin itself.
  --with-maxloglevel=none
)

unpack() { # PACKAGE VERSION ENDING SHA256: the source in a folder of the package's name
  local archive=$1_$2.orig.tar.$3
  "$here/debian-source.sh" "$1" "$release" .
  [ -e "$archive" ] || { echo "expected $1 $2 in Debian $release: change version and checksum in static-tss.sh"; exit 1; }
  echo "$4  $archive" | sha256sum --check --quiet
  mkdir "$1"
  tar -xf "$archive" -C "$1" --strip-components 1
}

build_mbedtls() { # INSTALLED
  unpack mbedtls "$mbedtls" bz2 "$mbedtls_sha256"
  make -C mbedtls/library -j"$cores" libmbedcrypto.a CFLAGS='-O2 -fPIC'
  mkdir -p "$1/include" "$1/lib"
  cp -r mbedtls/include/{mbedtls,psa} "$1/include/"
  cp mbedtls/library/libmbedcrypto.a "$1/lib/"
}

build_tss() { # INSTALLED
  unpack tpm2-tss "$tss" gz "$tss_sha256"
  cd tpm2-tss
  # The archive is one of git's, where there is no git to ask for the version.
  sed -i "s/^git describe .*/printf $tss >VERSION/" bootstrap
  ./bootstrap
  ./configure --prefix=/ --libdir=/lib "${options[@]}" CFLAGS="-O2 -I$1/include" LDFLAGS="-L$1/lib"
  make -j"$cores" install-libLTLIBRARIES install-pkgconfigDATA DESTDIR="$1"
  # The folder is where its pkg-config files are, wherever that is. What a library needs besides is told only where it is loaded at run time.
  # shellcheck disable=SC2016
  sed -i -e 's|^prefix=.*|prefix=${pcfiledir}/../..|' -e 's|^libdir=.*|libdir=${prefix}/lib|' "$1"/lib/pkgconfig/*.pc
  echo 'Requires.private: tss2-tcti-device' >>"$1/lib/pkgconfig/tss2-tctildr.pc"
  sed -i 's|^Libs: .*|& -lmbedcrypto|' "$1/lib/pkgconfig/tss2-esys.pc"
}

cache=${XDG_CACHE_HOME:-$HOME/.cache}/keylime-attestor
made_from=$(declare -p release mbedtls mbedtls_sha256 tss tss_sha256 options; declare -f unpack build_mbedtls build_tss)
entry=$cache/tpm2-tss-$(sha256sum <<<"$made_from" | cut -c1-12)
mkdir -p "$cache"
exec {lock}>"$entry.lock"
flock "$lock"
if [ ! -d "$entry" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  mkdir "$work/installed"
  cores=$(nproc)
  # A subshell of its own, and neither a condition nor a list: there bash would go on after an error.
  (cd "$work"; build_mbedtls "$work/installed"; build_tss "$work/installed") >"$work/log" 2>&1 &
  wait $! || { tail -n 50 "$work/log" >&2; echo "failed to build tpm2-tss $tss, as above; what that needs is in the first lines of $0" >&2; exit 1; }
  rm -rf "$work"/installed/lib/*.la "$work/installed/include"
  rm -rf "$entry.part"
  cp -r "$work/installed" "$entry.part"
  mv "$entry.part" "$entry"
fi
echo "$entry/lib/pkgconfig"
