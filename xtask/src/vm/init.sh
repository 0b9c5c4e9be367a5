#!/bin/busybox sh
# First process of the guest: loads the modules in the order of the list, then hands over to the disk image.
B=/bin/busybox
$B mount -t devtmpfs none /dev
$B mount -t proc none /proc
while read -r module; do $B insmod "/modules/$module" || echo "insmod $module failed"; done </modules/order
tries=0
until [ -b /dev/vda ] || [ $tries = 50 ]; do tries=$((tries + 1)); $B usleep 100000; done
$B mount -t ext4 -o rw,relatime /dev/vda /disk || { echo "no disk"; $B poweroff -f; }
$B mount --move /dev /disk/dev
$B umount /proc
exec $B switch_root /disk /vm/start
