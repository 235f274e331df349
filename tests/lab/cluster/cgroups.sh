# Sourced: the cgroups of the cluster's nodes, in each hierarchy of cgroup v1 or in the one of v2. A node sees its own as the root.
# shellcheck shell=bash disable=SC2154

CGROUP=keylime-attestor-lab
NODES=(node1 node2)

# Where the hierarchies with controllers are mounted.
hierarchies() {
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    echo /sys/fs/cgroup
  else
    awk '$3 == "cgroup" { print $2 }' /proc/self/mounts
  fi
}

is_v2() { [ -e "$1/cgroup.controllers" ]; }

make_cgroups() {
  local root node
  for root in $(hierarchies); do
    ! is_v2 "$root" || cat "$root/cgroup.subtree_control" >"$state/subtree_control"
    make_cgroup "$root" "$CGROUP"
    for node in "${NODES[@]}"; do make_cgroup "$root/$CGROUP" "$node"; done
  done
}

make_cgroup() {
  local group=$1/$2
  ! is_v2 "$1" || delegate "$1"
  mkdir -p "$group"
  # In v1 a new cpuset is empty, and nobody can enter it.
  if ! is_v2 "$group" && [ -e "$group/cpuset.cpus" ]; then
    cat "$1/cpuset.cpus" >"$group/cpuset.cpus"
    cat "$1/cpuset.mems" >"$group/cpuset.mems"
  fi
}

# Gives the groups below GROUP every controller that it has itself.
delegate() { sed 's/[^ ]\+/+&/g' "$1/cgroup.controllers" >"$1/cgroup.subtree_control"; }

# Moves this shell into the groups of a node.
enter_cgroups() {
  local root
  for root in $(hierarchies); do echo "$BASHPID" >"$root/$CGROUP/$1/cgroup.procs"; done
}

# In v2 a group has processes or gives controllers to groups below it, not both: the starter of a node and the node's PID 1 step aside.
leave_node_root() {
  local group=/sys/fs/cgroup/$CGROUP/$1/init
  if is_v2 /sys/fs/cgroup; then
    until [ -e "$group" ]; do sleep 0.05; done
    echo "$2" >"$group/cgroup.procs"
  fi
}
delegate_node_root() {
  if is_v2 /sys/fs/cgroup; then
    mkdir /sys/fs/cgroup/init
    echo $$ >/sys/fs/cgroup/init/cgroup.procs
    until delegate /sys/fs/cgroup 2>/dev/null; do sleep 0.05; done
  fi
}

# The groups empty themselves within moments after the processes' end.
remove_cgroups() {
  local root
  for root in $(hierarchies); do
    while [ -d "$root/$CGROUP" ]; do
      find "$root/$CGROUP" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.05
    done
    if is_v2 "$root" && [ -e "$state/subtree_control" ]; then take_back "$root"; fi
  done
}

# Takes from the groups below GROUP the controllers that they didn't have before.
take_back() {
  local controller now
  read -ra now <"$1/cgroup.subtree_control" || :
  for controller in "${now[@]}"; do
    grep -qw "$controller" "$state/subtree_control" || echo "-$controller" >"$1/cgroup.subtree_control"
  done
}
