#!/usr/bin/env bash
# Usage: programs.sh FOLDER. Builds the programs of the image and puts them into FOLDER, with their checksums: static, so that they run where there is no libc, and
# the same bytes wherever the checkout, Cargo's home and the target folder are. With IMAGE_PROFILE=dev in the environment they are built in a fraction
# of the time, for trying things out.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
into=$(mkdir -p "$1" && cd "$1" && pwd)

# All that is in the image.
programs=(keylime-attestor-{agent,server,quoter,operator})
profile=${IMAGE_PROFILE:-release}

cd -P "$here/../.."
platform=$(rustc -vV | sed -n 's/^host: //p')
# Not the folder of other builds: these flags would make each of the two build everything anew.
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/static
# What `cargo test` sets for the test that runs this: build scripts look at some of it, and would run again.
unset "${!CARGO_MANIFEST_@}" "${!CARGO_PKG_@}"

flags=(
  '-Ctarget-feature=+crt-static'
  # A static program cannot look up getrandom() by name at run time; the crate would then want /dev/urandom and panic without it.
  '--cfg=getrandom_backend="linux_getrandom"'
  # The id is a hash over debug information too, with the paths in it.
  '-Clink-arg=-Wl,--build-id=none'
)
# The last that fits counts: what build scripts make lies in the target folder, and that often in the checkout.
export REMAPPED="$PWD=/keylime-attestor
${CARGO_HOME:-$HOME/.cargo}=/cargo
$target=/keylime-attestor/target"
# Only with a target named are the flags not those of build scripts and procedural macros as well.
build=(cargo build --profile "$profile" --locked --target "$platform" --target-dir "$target")
tss=$("$here/static-tss.sh")
encoded=$(IFS=$'\x1f' && echo "${flags[*]}")
PKG_CONFIG_LIBDIR=$tss \
  PKG_CONFIG_ALL_STATIC=1 \
  CARGO_ENCODED_RUSTFLAGS=$encoded \
  RUSTC_WRAPPER=$here/rustc.sh \
  "${build[@]}" "${programs[@]/#/--package=}"

# cargo strips no package that has settings of its own. With its debug information one is larger than the memory that init containers may use.
for program in "${programs[@]}"; do
  install -m 0755 --strip "$target/$platform/${profile/#dev/debug}/$program" "$into/"
done
"$here/checksums.sh" "$into"
