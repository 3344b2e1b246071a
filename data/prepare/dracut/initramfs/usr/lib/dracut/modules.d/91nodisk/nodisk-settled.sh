#!/bin/sh
# Once, when the drivers of what is in the machine are loaded.
if [ ! -e /tmp/nodisk-has-run ]; then
	# dracut's own module iscsi, where somebody insists on it, has systemd listen in the daemon's place
	if [ -n "$DRACUT_SYSTEMD" ] && systemctl -q is-active iscsid.socket; then
		systemctl stop iscsid.socket iscsid.service
	fi
	ROOT=$(getarg root=) /sbin/nodisk-boot
	: >/tmp/nodisk-has-run
fi
