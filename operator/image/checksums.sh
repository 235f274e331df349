#!/usr/bin/env bash
# Usage: checksums.sh FOLDER... Each folder has the programs of one architecture, as programs.sh leaves them there. Writes into each of them
# checksums.json, with the SHA-256 of both plugins of every one: the operator in the image of one architecture has to know those of the others.
# Where the programs of each are built on a machine of its own, the folders are brought together first, and the images made of them afterwards.
set -euo pipefail

plugins=(keylime-attestor-{agent,server})

architecture() { # FOLDER: as Kubernetes names it
  local machine
  machine=$(od --address-radix=n --format=u2 --endian=little --skip-bytes=18 --read-bytes=2 "$1/${plugins[0]}")
  case $((machine)) in # an ELF header's e_machine
    62) echo amd64 ;;
    183) echo arm64 ;;
    *) echo "expected programs for amd64 or arm64 in $1, found machine $((machine)) of ELF" >&2; return 1 ;;
  esac
}

build() { # FOLDER: the checksums of its plugins, as JSON
  local plugin sum sums=()
  for plugin in "${plugins[@]}"; do
    sum=$(sha256sum <"$1/$plugin")
    sums+=("\"$plugin\":\"${sum%% *}\"")
  done
  local IFS=,
  echo "{${sums[*]}}"
}

declare -A builds=()
for folder in "$@"; do
  name=$(architecture "$folder")
  [ -z "${builds[$name]:-}" ] || { echo "expected the programs of an architecture once, found those of $name again in $folder" >&2; exit 1; }
  builds[$name]=$(build "$folder")
done
names=$(printf '%s\n' "${!builds[@]}" | sort)
entries=()
for name in $names; do entries+=("\"$name\":${builds[$name]}"); done
joined=$(IFS=, && echo "{${entries[*]}}")
for folder in "$@"; do echo "$joined" >"$folder/checksums.json"; done
