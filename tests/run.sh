#!/usr/bin/env bash
# All tests, in two groups side by side: those with a cluster, of which there is one at a time and which take longest; and the rest, which is
# built meanwhile, where it gives way to them. The cluster's output follows that of the rest. Fails when a test of either failed, and names it last.
set -euo pipefail
cd "$(dirname "$0")/.."

# Always the whole workspace: a part of it would be built anew, with the features that it needs alone.
cargo test --workspace --no-run --test cluster
# The first test with a cluster needs no image. Who needs it makes it, and so waits for this and tells why it failed.
setsid operator/image/image.sh >/dev/null 2>&1 </dev/null &
image=$!

log=$(mktemp)
others_log=$(mktemp)
# Process groups of their own, to end each with its cargo.
setsid cargo test --workspace --no-fail-fast --test cluster -- --test-threads=1 >"$log" 2>&1 </dev/null &
group=$!
trap 'kill -- "-$group" "-$image" 2>/dev/null || :; rm -f "$log" "$others_log"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
# One cargo builds at a time: this one's turn is over in a moment, that of the rest in minutes.
until grep -q Running "$log" || ! kill -0 "$group" 2>/dev/null; do sleep 1; done
status=0
{
    nice cargo test --workspace --no-fail-fast || status=$?
    # They wait, for the most part: for what others do, and for time to pass.
    cargo test --workspace --no-fail-fast --test real --test apiserver -- --test-threads=4 || status=$?
    exit "$status"
} 2>&1 | tee "$others_log" || status=$?
wait "$group" || status=$?
cat "$log"
if ((status != 0)); then
    echo 'Failed:' >&2
    grep -h -e '^test .* FAILED$' -e '^error' "$others_log" "$log" >&2 || echo 'no test; see the output above' >&2
fi
exit "$status"
