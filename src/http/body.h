/*
 * The JSON bodies of the admin API, read strictly: every key known, of the right type, given once.
 * Pure, so that it can be fuzzed.
 */
#pragma once

#include "core/arena.h"
#include "core/credentials.h"
#include "core/error.h"
#include "core/net.h"
#include "core/wake.h"
#include "registry/catalog.h"

#include <jansson.h>

struct body_text {
    bool given;
    const char *text; /* NULL: given as null */
};

struct body_number {
    bool given;
    uint64_t number;
};

struct body_bool {
    bool given;
    bool value;
};

struct body_list {
    bool given;
    const char **items;
    size_t count;
};

/* An object: keys and their values, of which some may be NULL. */
struct body_texts {
    bool given;
    const char **keys, **values;
    size_t count;
};

/* What the texts and lists live in. */
struct body {
    json_t *root;
    struct arena arena;
};

void body_free(struct body *body);
#define cleanup_body __attribute__((cleanup(body_free)))

/* All return -EINVAL with what is wrong with which key. body must be zeroed; body_free() it
 * whatever they return. */

struct body_node {
    struct body_text name, group, address, volume, image, chap, wake_password;
    struct body_text direct, ibft_origin, chap_rotation;
    struct body_bool chap_rotate;
    struct body_list macs, paths, options, no_options;
};
int body_read_node(const char *data, size_t size, struct body *body, struct body_node *ret_node,
                   struct error *ret_error) MUST_CHECK;

/* Of a machine that waits; one of mac and match (patterns of what it is). */
struct body_adoption {
    struct body_node node;
    struct body_text mac;
    struct body_texts match;
};
int body_read_adoption(const char *data, size_t size, struct body *body,
                       struct body_adoption *ret_adoption, struct error *ret_error) MUST_CHECK;

struct body_wake {
    struct body_text node;
    struct body_bool force;
};
int body_read_wake(const char *data, size_t size, struct body *body, struct body_wake *ret_wake,
                   struct error *ret_error) MUST_CHECK;

struct body_bmc {
    struct body_text node, address, user, password; /* address null: none any more */
};
int body_read_bmc(const char *data, size_t size, struct body *body, struct body_bmc *ret_bmc,
                  struct error *ret_error) MUST_CHECK;

struct body_power {
    struct body_text node, action;
};
int body_read_power(const char *data, size_t size, struct body *body, struct body_power *ret_power,
                    struct error *ret_error) MUST_CHECK;

/* What initiators other than the volume's nodes must prove. */
struct body_chap {
    struct body_text user, secret, target_user, target_secret;
};

/* Any of it? */
bool body_chap_given(const struct body_chap *chap);

struct body_volume {
    struct body_text name, image, file, device, nbd, iscsi;
    struct body_chap chap;
    struct body_number size, block_size;
    struct body_bool read_only, thick, removable, allow_any;
    struct body_bool overlay, copy, ephemeral;
    struct body_list allow, allow_from;
};
int body_read_volume(const char *data, size_t size, struct body *body,
                     struct body_volume *ret_volume, struct error *ret_error) MUST_CHECK;

struct body_volume_change {
    struct body_text chap; /* "none" */
    struct body_chap credentials;
    struct body_bool ephemeral, follows;
    struct body_number size;
    struct body_list allow_from;
};
int body_read_volume_change(const char *data, size_t size, struct body *body,
                            struct body_volume_change *ret_change,
                            struct error *ret_error) MUST_CHECK;

struct body_image {
    struct body_text name, path;
    struct body_texts labels;
};
int body_read_image(const char *data, size_t size, struct body *body, struct body_image *ret_image,
                    struct error *ret_error) MUST_CHECK;

/* One of the two. A label of NULL is taken away. */
struct body_image_change {
    struct body_text name;
    struct body_texts labels;
};
int body_read_image_change(const char *data, size_t size, struct body *body,
                           struct body_image_change *ret_change,
                           struct error *ret_error) MUST_CHECK;

struct body_verification {
    struct body_text image;
};
int body_read_verification(const char *data, size_t size, struct body *body,
                           struct body_verification *ret_verification,
                           struct error *ret_error) MUST_CHECK;

struct body_group {
    struct body_text name;
};
int body_read_group(const char *data, size_t size, struct body *body, struct body_group *ret_group,
                    struct error *ret_error) MUST_CHECK;

struct body_group_change {
    struct body_list options, no_options;
};
int body_read_group_change(const char *data, size_t size, struct body *body,
                           struct body_group_change *ret_change,
                           struct error *ret_error) MUST_CHECK;

/* What machines boot. At most one of node, group and name (either of both); none: the whole site.
 */
struct body_boot_rule {
    struct body_text node, group, name, entry, slot;
    struct body_number times, until, after;
};
int body_read_boot_rule(const char *data, size_t size, struct body *body,
                        struct body_boot_rule *ret_rule, struct error *ret_error) MUST_CHECK;

/* Exactly one of kernel and script; what is below initrds is of a kernel only; format and answer
 * both or neither. */
struct body_boot_entry {
    struct body_text name, title, kernel, script, arguments;
    struct body_list initrds;
    struct body_text format, answer, kernel_sha256;
    struct body_list initrd_sha256;
    struct body_texts variables;
};
int body_read_boot_entry(const char *data, size_t size, struct body *body,
                         struct body_boot_entry *ret_entry, struct error *ret_error) MUST_CHECK;
/* The name of the entry whose files are fetched again. */
int body_read_fetch(const char *data, size_t size, struct body *body, struct body_text *ret_entry,
                    struct error *ret_error) MUST_CHECK;

struct body_change {
    struct body_text volume, change, snapshot, image;
    struct body_bool at_next_boot, force;
};
int body_read_change(const char *data, size_t size, struct body *body,
                     struct body_change *ret_change, struct error *ret_error) MUST_CHECK;

/* Exactly one of image and path. */
struct body_fold {
    struct body_text volume, snapshot, image, path, format;
    struct body_bool compress;
    struct body_texts labels;
};
int body_read_commit(const char *data, size_t size, struct body *body, struct body_fold *ret_fold,
                     struct error *ret_error) MUST_CHECK;
int body_read_export(const char *data, size_t size, struct body *body, struct body_fold *ret_fold,
                     struct error *ret_error) MUST_CHECK;

struct body_snapshot {
    struct body_text volume, name;
};
int body_read_snapshot(const char *data, size_t size, struct body *body,
                       struct body_snapshot *ret_snapshot, struct error *ret_error) MUST_CHECK;

struct body_attachment {
    struct body_text volume, node;
    struct body_number lun;
};
int body_read_attachment(const char *data, size_t size, struct body *body,
                         struct body_attachment *ret_attachment,
                         struct error *ret_error) MUST_CHECK;

struct body_hold {
    struct body_text volume, node;
    struct body_bool all;
    struct body_number seconds;
};
/* Exactly one of the first three. */
int body_read_hold(const char *data, size_t size, struct body *body, struct body_hold *ret_hold,
                   struct error *ret_error) MUST_CHECK;

/* "debian12" or "debian12@3" -> name and version (0: none given). */
int body_parse_image_reference(const char *text, char name[static 64], uint32_t *ret_version,
                               struct error *ret_error) MUST_CHECK;
/* The MACs of a list, in an array from the body's arena. */
int body_parse_macs(struct body *body, const struct body_list *list,
                    const struct mac_address **ret_macs, struct error *ret_error) MUST_CHECK;
/* The same of paths, "MAC=ADDRESS". */
int body_parse_paths(struct body *body, const struct body_list *list,
                     const struct catalog_path **ret_paths, struct error *ret_error) MUST_CHECK;
/* *ret_credentials has CHAP_NONE if nothing is given. */
int body_parse_chap(const struct body_chap *fields, struct chap_credentials *ret_credentials,
                    struct error *ret_error) MUST_CHECK;
/* An IPv4 address; null or "none" is 0. */
int body_parse_address(const struct body_text *text, uint32_t *ret_address,
                       struct error *ret_error) MUST_CHECK;
/* A password for Wake-on-LAN; null or "none" is none. */
int body_parse_wake_password(const struct body_text *text, struct wake_password *ret_password,
                             struct error *ret_error) MUST_CHECK;
