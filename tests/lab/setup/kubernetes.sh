#!/usr/bin/env bash
# Kubernetes, CoreDNS, Helm 3 and the program of pause, built from the module in ../cluster/programs. Prints their folder.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/cache.sh"
programs=$here/../cluster/programs

entry=cluster-programs-$(key "$programs"/{go.mod,go.sum,build.sh,*/main.go})
cached "$entry" 'building Kubernetes, CoreDNS and Helm 3 (about 5 minutes on 2 cores)' "$programs/build.sh"
echo "$CACHE/$entry"
