#!/bin/sh
# Once, when the drivers of what is in the machine are loaded.
if [ ! -e /tmp/nodisk-has-run ]; then
	ROOT=$(getarg root=) /sbin/nodisk-boot
	: >/tmp/nodisk-has-run
fi
