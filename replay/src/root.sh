# Makes the node: a copy of the machine's file system that is thrown away with
# the process, with directories of its own where k0s and containerd keep things.
# Usage: sh root.sh SCRATCH CONTAINERD_DIR EXECUTABLE
set -e
mount -t tmpfs -o mode=755 node "$1"
mkdir "$1/changes" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/changes,workdir=$1/work" node "$1/root"
cd "$1/root"
tools=usr/local/lib/replay
mkdir -p "$tools/containerd" var/lib/k0s run .machine
: >"$tools/replay"
mount --bind "$2" "$tools/containerd"
mount --bind "$3" "$tools/replay"
mount --rbind /sys sys
mount --rbind /dev dev
mount -t proc proc proc
mount -t tmpfs -o mode=755 run run
mount -t tmpfs -o mode=755 k0s var/lib/k0s
# containerd's old linux runtime wants a cgroup mount of the old kind, whichever;
# pods of the others do without.
if ! grep -q ' - cgroup ' proc/self/mountinfo; then
  mkdir -p run/cgroup/replay
  mount -t cgroup -o none,name=replay cgroup run/cgroup/replay || :
fi
pivot_root . .machine
umount -l /.machine
cd /
# What the machine has of another containerd is not the node's.
rm -rf /etc/k0s /etc/containerd /etc/docker /etc/cni /opt/cni
busybox ip link set lo up
# Not exec: what loses its parent here becomes this shell's to bury.
"/$tools/replay" node
