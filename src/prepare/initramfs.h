/* What is in an initramfs: of each archive in it, packed or not, what a diskless boot depends on.
 */
#pragma once

#include "prepare/cpio.h"
#include "prepare/tree.h"

struct initramfs {
    unsigned n_drivers; /* of network cards */
    unsigned n_entries;
    bool iscsi_tcp, iscsi_ibft, sd_mod, virtio_net;
    bool file_system; /* the module of initramfs_look()'s file_system */
    bool iscsistart, iscsid, iscsiadm, udev, busybox;
    bool stock_script;       /* open-iscsi's own local-top/iscsi */
    bool stock_on;           /* etc/iscsi.initramfs says ISCSI_AUTO or a target */
    const char *our_script;  /* the text of what logs in; NULL: it has none */
    bool our_hook;           /* by which dracut runs it */
    const char *iscsid_conf; /* the text of etc/iscsi/iscsid.conf; NULL: none */
    const char *resume;      /* the value of RESUME in conf/; NULL: none */
    bool dracut;             /* it was made by dracut */
};

/* Looks into the file. file_system: "ext4". Texts are in the arena. -EBADMSG: damaged, cut off, or
 * in no format that is known (gzip, xz, lzma, zstd, lz4, bzip2, or plain); others. */
int initramfs_look(int fd, const char *file_system, struct arena *arena,
                   struct initramfs *ret_initramfs) MUST_CHECK;
