#!/bin/bash
# Puts into the initramfs what nodisk-boot needs: drivers, the iSCSI daemon and its tool, and the
# files that the daemon lives from. dracut's own modules for networks and iSCSI are not used: which of
# them reads the iBFT, and whether any does, differs from version to version.
#
# shellcheck disable=SC2154  # dracut sets these

check()
{
	require_binaries iscsid iscsiadm ip unshare || return 1
}

depends()
{
	echo base udev-rules rootfs-block fs-lib
	# a module of its own since dracut 108
	! compgen -G "$dracutbasedir/modules.d/*initqueue" >/dev/null || echo initqueue
}

installkernel()
{
	# every network card, the iSCSI disk, networks that are tagged
	hostonly='' instmods '=drivers/net/ethernet' '=drivers/net/phy' '=drivers/net/mdio' '=drivers/net/usb' \
		virtio_net virtio_pci vmxnet3 hv_netvsc xen-netfront af_packet 8021q
	hostonly='' instmods iscsi_ibft iscsi_tcp sd_mod crc32c crc32c_generic crc32c_intel
	# what the boot card may be below
	[[ ! -e /etc/nodisk/boot-network ]] || hostonly='' instmods bridge bonding
	# whatever root is, and the same image on a disk of its own: a virtual machine, or a try-out
	hostonly='' instmods ext4 xfs btrfs virtio_blk virtio_scsi ahci nvme
}

# The daemon's own root (see nodisk-boot) as a tree of hard links, which take no room. There it is
# called "@iscsid".
install_daemon()
{
	local tree=$initdir/nodisk-iscsid program libraries file
	program=$(type -P iscsid)
	mapfile -t libraries < <(ldd "$program" | sed -n 's,^[^/]*\(/[^ ]*\) (0x.*,\1,p')
	# the C library before 2.34 asks this one for the only user that the daemon listens to
	for file in "${libraries[@]}"; do
		[[ $file == */libc.so.* ]] && libraries+=("${file%/*}/libnss_files.so.2")
	done
	mkdir -p "$tree/sbin" "$tree/sys" "$tree/proc" "$tree/run" "$tree/dev" "$tree/etc/iscsi"
	for file in /etc/iscsi/iscsid.conf "${libraries[@]}"; do
		[[ -e $file ]] || continue
		inst_simple "$file"
		mkdir -p "$tree${file%/*}"
		ln -f "$(readlink -f "$initdir$file")" "$tree$file"
	done
	ln -f "$(readlink -f "$initdir$program")" "$tree/sbin/@iscsid"
	echo "root:x:0:0::/:" >"$tree/etc/passwd"
	ln -sf /run/systemd/journal/dev-log "$tree/dev/log"
}

install()
{
	inst_multiple iscsid iscsiadm ip unshare chroot mount cp mknod mkdir cat sed grep readlink sleep \
		blkid blockdev udevadm modprobe
	inst_multiple -o ipconfig bridge
	# a card that is up keeps its name: it has to have the right one by then
	inst_multiple -o /usr/lib/systemd/network/99-default.link /lib/systemd/network/99-default.link
	[[ ! -e /etc/nodisk/boot-network ]] || inst_simple /etc/nodisk/boot-network
	# waits for the disk are not given up
	[[ ! -e /etc/systemd/system.conf.d/nodisk.conf ]] || inst_simple /etc/systemd/system.conf.d/nodisk.conf
	inst_simple "$moddir/nodisk-boot" /sbin/nodisk-boot
	inst_simple "$moddir/59-nodisk-root.rules" /etc/udev/rules.d/59-nodisk-root.rules
	inst_hook initqueue/settled 10 "$moddir/nodisk-settled.sh"
	inst_hook initqueue/finished 10 "$moddir/nodisk-finished.sh"
	install_daemon
	dracut_need_initqueue
}
