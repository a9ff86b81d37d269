#!/bin/sh
# PID 1 of one machine of the cluster: a login node or a compute node, in namespaces of its own.
# It has a name, a machine id, a boot id, processes and a /dev/shm that no other machine has;
# files and network are the host's. Arguments: FOLDER NAME
set -eu
folder=$1 name=$2
mount --make-rprivate /
mount -t proc proc /proc
mount --bind "$folder/boot_id" /proc/sys/kernel/random/boot_id
# A minimal container has none; the supervisor then takes the host's name, which differs as well.
[ -e /etc/machine-id ] && mount --bind "$folder/machine-id" /etc/machine-id
mount -t tmpfs -o mode=1777,size=1g tmpfs /dev/shm
hostname "$name"
: >"$folder/up"
# Reaps what is orphaned here, until it is killed: then the kernel ends all others with it.
while :; do
    sleep 3600 &
    wait $!
done
