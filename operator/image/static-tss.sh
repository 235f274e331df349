#!/usr/bin/env bash
# The TCG's TPM stack as static libraries, reduced to what tss-esapi links. Prints the folder with its pkg-config files.
# Needs autoconf, autoconf-archive, automake, libltdl-dev, libtool, pkg-config, make, a C compiler, and Debian's apt for the source.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# Distributions' own packages hold no static libraries.
release=trixie
version=4.1.3
sha256=8a389bda64690910e7af7deaf64703a3faed416dc538c9c3e4f893f24893524d

options=(
  --disable-shared --with-pic
  # No dlopen in a static program, and no way to a TPM at all: we unmarshal structures, nothing else.
  --enable-nodl --disable-tcti-{cmd,device,i2c-ftdi,i2c-helper,libtpms,mssim,pcap,spi-ftdi,spi-helper,spi-ltt2go,spidev,swtpm}
  --with-crypto=none --disable-fapi --disable-policy --disable-vendor --disable-util-io --disable-doxygen-doc
  # The standard error of a plugin is SPIRE's log: nothing may write there beside the plugin itself.
  --with-maxloglevel=none
)

build() { # INSTALLED
  local cores archive=tpm2-tss_$version.orig.tar.gz
  cores=$(nproc)
  "$here/debian-source.sh" tpm2-tss "$release" .
  [ -e "$archive" ] || { echo "expected tpm2-tss $version in Debian $release: change version and checksum in static-tss.sh"; exit 1; }
  echo "$sha256  $archive" | sha256sum --check --quiet
  mkdir source
  cd source
  tar -xzf "../$archive" --strip-components 1
  # The archive is one of git's, where there is no git to ask for the version.
  sed -i "s/^git describe .*/printf $version >VERSION/" bootstrap
  ./bootstrap
  ./configure --prefix=/ --libdir=/lib "${options[@]}"
  make -j"$cores" install-libLTLIBRARIES install-pkgconfigDATA DESTDIR="$1"
  # The folder is where its pkg-config files are, wherever that is.
  # shellcheck disable=SC2016
  sed -i -e 's|^prefix=.*|prefix=${pcfiledir}/../..|' -e 's|^libdir=.*|libdir=${prefix}/lib|' "$1"/lib/pkgconfig/*.pc
}

cache=${XDG_CACHE_HOME:-$HOME/.cache}/keylime-attestor
made_from=$(declare -p release version sha256 options; declare -f build)
entry=$cache/tpm2-tss-$(sha256sum <<<"$made_from" | cut -c1-12)
mkdir -p "$cache"
exec {lock}>"$entry.lock"
flock "$lock"
if [ ! -d "$entry" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  mkdir "$work/installed"
  # A subshell of its own, not a condition: there bash would go on after an error.
  (cd "$work" && build "$work/installed") >"$work/log" 2>&1 &
  wait $! || { tail -n 50 "$work/log" >&2; echo "failed to build tpm2-tss $version, as above; what that needs is in the first lines of $0" >&2; exit 1; }
  rm -f "$work"/installed/lib/*.la
  rm -rf "$entry.part"
  cp -r "$work/installed" "$entry.part"
  mv "$entry.part" "$entry"
fi
echo "$entry/lib/pkgconfig"
