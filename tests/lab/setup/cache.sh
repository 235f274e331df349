# Sourced by the scripts beside it: steps that say what they do, and a cache that no broken-off run can spoil.
# shellcheck shell=bash
set -euo pipefail

CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/keylime-attestor
mkdir -p "$CACHE"

# To the terminal also where standard error is a log: all.sh names another descriptor then.
say() { printf '[setup] %s\n' "$*" >&"${SAY:-2}"; }

running=
trap '[ -z "$running" ] || say "$running: FAILED"' EXIT

# step TEXT COMMAND...: says what is done and how long it took. Not for use in a condition: bash would then go
# on after an error.
step() {
  local begun=$SECONDS
  running=$1
  say "$running ..."
  "${@:2}" >&2
  say "$running: done in $((SECONDS - begun)) s"
  running=
}

# key WHAT...: names a cache entry by what it is made from: files, functions of the script, - for standard input.
key() {
  local what
  for what in "$@"; do
    if declare -F "$what" >/dev/null; then declare -f "$what"; else cat -- "$what"; fi || return
  done | sha256sum | cut -c1-12
}

# cached ENTRY TEXT COMMAND...: makes $CACHE/ENTRY, unless it is there, by COMMAND with a new folder as its
# last argument. The folder gets its name only when it is complete, and a lock for each entry lets a second
# run wait for the first.
cached() {
  local entry=$CACHE/$1 lock part
  [ ! -d "$entry" ] || return 0
  exec {lock}>"$entry.lock"
  flock -n "$lock" || step "$2: waiting for another run" flock "$lock"
  if [ ! -d "$entry" ]; then
    # Under a new name each time: what is left of a run that was killed may still write.
    rm -rf "$entry".part.* || say "$2: some of a broken-off run is left for the next one to remove"
    part=$(mktemp -d "$entry.part.XXXXXX")
    chmod 755 "$part"
    step "$2" "${@:3}" "$part"
    mv "$part" "$entry"
  fi
  exec {lock}>&-
}
