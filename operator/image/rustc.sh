#!/usr/bin/env bash
# Cargo's RUSTC_WRAPPER: the compiler with the paths of this machine taken out of what it writes. They are no flags that Cargo knows of: it
# would build everything anew wherever one of them differs, for the same result. $REMAPPED holds one FROM=TO a line.
set -euo pipefail

mapfile -t paths <<<"$REMAPPED"
exec "$@" "${paths[@]/#/--remap-path-prefix=}"
