# Outlives the test process and clears up after it, however it ended: the standard input is a pipe that only
# the test process holds. Reads "start GROUP" and "end GROUP" (process groups), and "folder PATH".
# shellcheck shell=bash
trap '' HUP INT TERM
declare -A groups
folders=()
while read -r verb what; do
  case $verb in
    start) groups[$what]=1 ;;
    end) unset "groups[$what]" ;;
    folder) folders+=("$what") ;;
  esac
done
for group in "${!groups[@]}"; do kill -KILL -- "-$group"; done
# A process that is on its way out may still write.
for _ in {1..100}; do rm -rf -- "${folders[@]}" && break; sleep 0.05; done
