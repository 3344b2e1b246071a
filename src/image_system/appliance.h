/*
 * A system on a disk, in a small virtual machine: libguestfs starts it (the appliance), finds the
 * system on the disk and mounts its file systems there, each at its place. No file system of an
 * image is ever mounted by this machine's kernel, and none of its programs runs here.
 *
 * Programs run in the appliance beside the mounted system, not in the system by guestfs_command():
 * that exchanges the system's /etc/resolv.conf for one of its own while a program runs and puts the
 * old one back afterwards, and so undoes what the program has made of it.
 */
#pragma once

#include "core/error.h"

#include <guestfs.h>
#include <sys/types.h>

/* Where the system is mounted, for programs that run beside it. */
#define APPLIANCE_ROOT "/sysroot"

struct appliance_settings {
    const char *disk;      /* a raw disk */
    const char *directory; /* for files that last as long as it does */
    bool writable;         /* otherwise what is written goes nowhere */
    bool network;          /* the appliance reaches what this machine reaches */
};

/* Starts it. guestfs_close() the handle, which ends it. */
int appliance_start(const struct appliance_settings *settings, guestfs_h **ret_guest,
                    struct error *ret_error) MUST_CHECK;

/* Mounts the one system that is on the disk; read-only or not as the appliance was started.
 * -ENOENT: there is none; -ENOTUNIQ: several; ret_product: what it calls itself, free() it. */
int appliance_mount(guestfs_h *guest, bool writable, char **ret_product,
                    struct error *ret_error) MUST_CHECK;

/* Puts a program of this machine, which needs no libraries, into the appliance, where run() finds
 * it by this name. */
int appliance_put(guestfs_h *guest, const char *file, const char *name,
                  struct error *ret_error) MUST_CHECK;

struct appliance_result {
    int status;      /* with which it exited */
    char *out, *err; /* what it printed; free() them */
};

/* Runs a program that was put there, with these words. */
int appliance_run(guestfs_h *guest, const char *const *argv, struct appliance_result *ret_result,
                  struct error *ret_error) MUST_CHECK;

/* All is on the disk when it returns 0: unmounted, and the machine switched off. */
int appliance_finish(guestfs_h *guest, bool writable, struct error *ret_error) MUST_CHECK;
