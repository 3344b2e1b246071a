/*
 * The configuration file: INI, every key with a default (nodisk.conf(5) describes them all).
 *
 * Reading it does not touch the system: interfaces, files and ports are looked at by those who
 * use them. But the interface of a link-local address must exist.
 */
#pragma once

#include "core/boot_ways.h"
#include "core/credentials.h"
#include "core/error.h"
#include "core/names.h"
#include "core/net.h"
#include "dhcp/subnet.h"
#include "iscsi/limits.h"
#include "server/adopt_rules.h"
#include "server/hook_config.h"
#include "server/https_config.h"
#include "server/listen.h"
#include "server/policy_rules.h"
#include "server/warn_free.h"

#include <limits.h>
#include <sys/un.h>

#define CONFIG_MAX_SUBNETS 64

/* See discovery_chap.h; "": not set. */
struct discovery_chap {
    char user[CREDENTIALS_USER_MAX + 1], target_user[CREDENTIALS_USER_MAX + 1];
    char secret_file[PATH_MAX], target_secret_file[PATH_MAX];
};

struct config {
    char state_directory[PATH_MAX];
    char socket[sizeof(((struct sockaddr_un *)0)->sun_path)];
    char base_iqn[IQN_MAX_LEN + 1];
    int log_level;
    struct warn_free warn_free;

    struct boot_ways boot_ways;
    unsigned menu_timeout;   /* seconds; 0: menus wait for ever */
    bool menu_snapshots;     /* menus offer snapshots of a node's disk */
    unsigned fallback_after; /* failed boots in a row; 0: nobody falls back */
    char memtest[PATH_MAX];  /* directory of Debian's memtest86+ */
    bool warm_up;            /* boot sets are read into memory at start */
    uint64_t warm_limit;     /* bytes of them in all; 0: a quarter of memory */

    struct listen_list iscsi;
    unsigned iscsi_threads; /* 0: one per core */
    struct iscsi_limits iscsi_limits;
    struct redirect_list redirects;
    struct discovery_chap discovery_chap;
    struct listen_list http;
    struct https_config https;
    struct listen_list tftp;
    char scripts[PATH_MAX]; /* directory of the operator's own, and of what they fetch */
    bool boot_by_scripts;   /* nodes boot by them */
    char loaders[PATH_MAX]; /* directory that TFTP and HTTP hand out loaders from */

    struct subnet *subnets;
    size_t n_subnets;
    struct adopt_rules *adopt;
    struct policy *policy;
    struct hook_settings hooks;
};

/* Called once for each problem: "nodisk.conf:12: [subnet lab] range: ...". */
typedef void config_report(void *context, const char *problem);

/* The defaults. -ENOMEM. */
int config_init(struct config *ret_config) MUST_CHECK;
/* Defaults, then the file. Every problem is reported; -EINVAL if there was any, -errno if the
 * file cannot be read (reported, too). *ret_config must be freed only on success. */
int config_read(const char *path, config_report *report, void *context,
                struct config *ret_config) MUST_CHECK;
void config_free(struct config *config);
