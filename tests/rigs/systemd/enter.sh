#!/bin/sh
# Stage one: a cgroup of its own, then the namespaces. Arguments: FOLDER CGROUP KEPT...
# Runs under `unshare --mount`, so that the mount below is nobody else's.
set -eu
folder=$1 cgroup=$2
mount --make-rprivate /
mount -t cgroup2 cgroup2 "$folder/cgroup"
mkdir -p "$folder/cgroup/$cgroup"
# Only what this machine's root lets us have: under cgroup v1, or below a group with processes in
# it (a container), there are no controllers, and systemd goes on without.
for controller in memory pids cpu; do
    echo "+$controller" 2>/dev/null >"$folder/cgroup/$(dirname "$cgroup")/cgroup.subtree_control" || :
done
echo $$ >"$folder/cgroup/$cgroup/cgroup.procs"
umount "$folder/cgroup"
exec unshare --pid --fork --kill-child --mount --uts --ipc --cgroup sh "$(dirname "$0")/boot.sh" "$@"
