# Sourced after cache.sh: commands side by side, each with a log of its own. The first that fails ends the others and is told of last.
# shellcheck shell=bash

results=$(mktemp -d)
logs=$CACHE/log
mkdir -p "$logs"
declare -A names=()
# How many there will be, and how many have ended.
total=0
ended=0
minute=
# What the jobs say still reaches who waits.
exec {SAY}>&2
export SAY

# With SIGKILL: nothing that is stopped has a word to say. What they leave half done, the next run removes.
stop_jobs() {
  local pid
  for pid in "${!names[@]}"; do kill -KILL -- "-$pid" 2>/dev/null || :; done
  [ -z "$minute" ] || kill "$minute" 2>/dev/null || :
}
trap 'stop_jobs; rm -rf "$results"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# start NAME COMMAND...: in a process group of its own, so that nothing of it goes on when it is stopped. What it prints is its result.
start() {
  setsid "${@:2}" >"$results/$1" 2>"$logs/$1.log" </dev/null &
  names[$!]=$1
}

# result NAME: what a job has printed.
result() { cat "$results/$1"; }

# finish: waits for all that was started, and says once a minute what still runs.
finish() {
  local pid status
  while [ ${#names[@]} -gt 0 ]; do
    [ -n "$minute" ] || { sleep 60 & minute=$!; }
    status=0
    wait -n -p pid "${!names[@]}" "$minute" || status=$?
    if [ "$pid" = "$minute" ]; then
      say "$((SECONDS / 60)) min, $ended of $total done; still at work: ${names[*]}"
      minute=
    elif [ $status != 0 ]; then
      fail "$pid"
    else
      ended=$((ended + 1))
      say "$ended of $total: ${names[$pid]} is there"
      unset "names[$pid]"
    fi
  done
}

fail() {
  local name=${names[$1]} log
  log=$logs/$name.log
  stop_jobs
  tail -n 30 "$log" >&2
  say "$name FAILED, and the rest was stopped. Above is the end of $log."
  say "Mend what it names, and run the same again: what was done is kept."
  exit 1
}
