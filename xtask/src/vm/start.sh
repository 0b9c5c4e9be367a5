#!/bin/busybox sh
# First process on the guest's disk: runs the plan, one line a test, and reports on the second serial port.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin HOME=/root TERM=dumb NO_COLOR=1 RUST_BACKTRACE=0
mount -t proc none /proc
mount -t sysfs none /sys
mount -t tracefs none /sys/kernel/tracing
mount -t securityfs none /sys/kernel/security
mount -t bpf none /sys/fs/bpf
mount -t cgroup2 none /sys/fs/cgroup
mkdir -p /dev/pts /dev/shm /dev/mqueue
mount -t devpts none /dev/pts
mount -t tmpfs -o mode=1777 none /dev/shm
mount -t mqueue none /dev/mqueue
mount -t tmpfs -o mode=755 none /run
ip link set lo up 2>/dev/null
ln -sf /proc/self/fd /dev/fd
stty -F /dev/ttyS1 raw -echo
exec >/dev/ttyS1 2>&1 </dev/null
echo "@kernel $(uname -r)"
echo "@lsm $(cat /sys/kernel/security/lsm)"
# What a machine does in one second takes this one up to seven.
export RECORDER_TEST_SLOWNESS=7
seconds() { cut -d. -f1 /proc/uptime; }
number() { # 6.12.90-x is 6012
  rest=${1#*.}
  echo $((${1%%.*} * 1000 + ${rest%%[!0-9]*}))
}
kernel=$(number "$(uname -r)")
while read -r name limit since command; do
  [ "$kernel" -ge "$since" ] || continue
  echo "@begin $name"
  begin=$(seconds)
  timeout -k 5 "$limit" sh -c "$command" </dev/null
  code=$?
  printf '\n@end %s %s %s\n' "$name" "$code" "$(($(seconds) - begin))"
done </vm/plan
echo "@done"
sync
poweroff -f
