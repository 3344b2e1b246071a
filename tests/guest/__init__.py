"""Linux's own iSCSI initiator and what people build on it, against the daemon."""
