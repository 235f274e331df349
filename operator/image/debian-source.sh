#!/usr/bin/env bash
# debian-source.sh PACKAGE RELEASE FOLDER: downloads a source package of that Debian release into the folder, checked by Debian's signature.
# By the machine's own mirror and keyring, but with sources and lists of its own: nothing of the machine's apt is changed, nor must one be root.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
package=$1
release=$2
cd "$3"

mirror=$("$here/debian-mirror.sh")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# For the user that apt downloads as.
chmod 755 "$work"
mkdir -p "$work"/{lists,archives}/partial
echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main" >"$work/sources.list"
own=(-o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work")
apt-get "${own[@]}" update
apt-get "${own[@]}" source --download-only --only-source "$package/$release"
