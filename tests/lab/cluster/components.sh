# Sourced by what is PID 1 of a namespace: keeps components running.
# shellcheck shell=bash disable=SC2154

# keep NAME COMMAND...: runs a component, and again whenever it ends, but not while $state/held/NAME is there. It is a process group, because
# some have children that would go on without it.
keep() {
  (
    while :; do
      while [ -e "$state/held/$1" ]; do sleep 0.05; done
      setsid "${@:2}" >>"$state/log/$1.log" 2>&1 </dev/null &
      echo $! >"$state/pid/$1"
      wait $! || echo "-- $1 ended with $?" >>"$state/log/$1.log"
      kill -KILL -- -$! 2>/dev/null || :
      sleep 0.2
    done
  ) &
}

# until_done COMMAND...: tries a command until it succeeds.
until_done() { until "$@" >/dev/null 2>&1; do sleep 0.1; done; }
