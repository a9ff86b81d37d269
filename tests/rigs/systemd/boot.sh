#!/bin/sh
# Stage two, PID 1 of fresh namespaces: a small machine is mounted, then this becomes systemd.
# Arguments: FOLDER CGROUP KEPT... -- paths of KEPT stay where they are, whatever is laid over them.
set -eu
folder=$1
shift 2
mount --make-rprivate /

# What must stay visible, set aside while tmpfs is laid over the places that it may be in.
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/folder
mount --bind "$folder" /mnt/folder
number=0
for path in "$@"; do
    number=$((number + 1))
    mkdir "/mnt/$number"
    mount --rbind "$path" "/mnt/$number"
done
# systemd-tmpfiles empties /tmp at boot: without mounts of their own, the host's. /root is laid over
# because an interpreter in there could not be reached by a unit's User=.
for place in /run /var/log /var/lib/systemd /root /home; do
    mount -t tmpfs -o mode=755 tmpfs "$place"
done
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=1777 tmpfs /var/tmp
number=0
for path in "$@"; do
    number=$((number + 1))
    mkdir -p "$path"
    mount --rbind "/mnt/$number" "$path"
done
mkdir -p "$folder"
mount --bind /mnt/folder "$folder"
umount -l /mnt

mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
# Another boot has another id, as under systemd-nspawn.
cat /proc/sys/kernel/random/uuid >/run/boot_id
mount --bind /run/boot_id /proc/sys/kernel/random/boot_id
mount --bind /sys /sys
mount -o remount,bind,ro /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup

# A /dev of its own: journald and the supervisor would leave their things in the host's.
mount -t tmpfs -o mode=755 tmpfs /dev
mkdir /dev/shm /dev/pts
mount -t tmpfs -o mode=1777,size=1g tmpfs /dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts /dev/pts
ln -s pts/ptmx /dev/ptmx
ln -s /proc/self/fd /dev/fd
mknod -m 666 /dev/null c 1 3
mknod -m 666 /dev/zero c 1 5
mknod -m 666 /dev/full c 1 7
mknod -m 666 /dev/random c 1 8
mknod -m 666 /dev/urandom c 1 9
mknod -m 666 /dev/tty c 5 0
: >/dev/console
mount --bind "$folder/console.log" /dev/console

# The host's own services stay out; what is installed here outlives a reboot of this machine.
mount --bind "$folder/units" /etc/systemd/system
mount --bind "$folder/user-units" /etc/systemd/user
mount --bind "$folder/passwd" /etc/passwd
mkdir /run/empty
mount --bind /run/empty /lib/systemd/system-generators
mkdir -p /run/systemd/system
for unit in \
    getty.target getty-static.service console-getty.service systemd-logind.service \
    dev-hugepages.mount dev-mqueue.mount sys-fs-fuse-connections.mount sys-kernel-config.mount \
    sys-kernel-debug.mount sys-kernel-tracing.mount proc-sys-fs-binfmt_misc.automount \
    kmod-static-nodes.service systemd-binfmt.service systemd-firstboot.service \
    systemd-machine-id-commit.service systemd-modules-load.service systemd-networkd.service \
    systemd-pcrphase.service systemd-pcrphase-sysinit.service systemd-random-seed.service \
    systemd-repart.service systemd-sysctl.service systemd-sysusers.service \
    systemd-tmpfiles-clean.timer systemd-tmpfiles-setup.service \
    systemd-tmpfiles-setup-dev.service systemd-udevd.service systemd-update-utmp.service \
    systemd-update-utmp-runlevel.service systemd-journald-audit.socket systemd-initctl.socket \
    munge.service slurmctld.service slurmd.service slurmdbd.service; do
    ln -s /dev/null "/run/systemd/system/$unit"
done

exec env -i container=rig PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8 /lib/systemd/systemd --system --unit=multi-user.target </dev/null >/dev/null 2>&1
