/* A registry in a directory of its own with its catalog, and nodes and volumes in it. */
#pragma once

#include "catalog_text.h"
#include "scratch_dir.h"

#include "registry/db.h"
#include "registry/operation.h"
#include "registry/registry.h"

#include <poll.h>

#define SITE_IQN "iqn.2026-11.lan.example"

struct site {
    char *directory;
    char path[PATH_MAX]; /* of the database */
    struct catalog_slot *slot;
    struct registry_settings settings; /* callbacks may be filled in before site_make() */
    struct registry *registry;
    struct error error;
};

static inline void site_must(int r, const struct error *error)
{
    if (r < 0)
        fail_msg("%s", error->text);
}

static inline void site_start(struct site *site)
{
    site->settings.path = site->path;
    site->settings.base_iqn = SITE_IQN;
    site->settings.catalog = site->slot;
    site_must(registry_start(&site->settings, &site->registry, &site->error), &site->error);
}

static inline void site_make(struct site *site)
{
    site->directory = scratch_dir_make();
    snprintf(site->path, sizeof(site->path), "%s/registry.db", site->directory);
    site->slot = catalog_slot_new();
    site_start(site);
}

/* The catalog, which grows by what changes, is what a daemon would read that is started now. */
static inline void site_check_catalog(struct site *site)
{
    struct db db = {0};
    site_must(db_open(&db, site->path, &site->error), &site->error);
    cleanup_catalog struct catalog *is = catalog_slot_get(site->slot);
    cleanup_catalog struct catalog *read =
        catalog_load(&db, SITE_IQN, catalog_generation(is), &site->error);
    db_close(&db);
    if (!read)
        fail_msg("%s", site->error.text);
    cleanup_free char *text_is = catalog_text(is);
    cleanup_free char *text_read = catalog_text(read);
    assert_string_equal(text_is, text_read);
}

static inline void site_remove(struct site *site)
{
    if (site->registry)
        site_check_catalog(site);
    registry_stop(site->registry);
    catalog_slot_free(site->slot);
    scratch_dir_remove(site->directory);
}

static inline void site_restart(struct site *site)
{
    registry_stop(site->registry);
    site_start(site);
}

/* --- what the registry answers later --- */

struct site_answer {
    struct registry_reply reply;
    struct mailbox mailbox;
    bool came;
};

static inline void site_answer_came(struct message *message)
{
    container_of(message, struct site_answer, reply.message)->came = true;
}

static inline struct registry_reply *site_answer_open(struct site_answer *answer)
{
    *answer = (struct site_answer){.reply.message.run = site_answer_came};
    assert_int_equal(mailbox_open(&answer->mailbox), 0);
    answer->reply.mailbox = &answer->mailbox;
    return &answer->reply;
}

/* Its code. */
static inline int site_answer_wait(struct site_answer *answer, struct error *ret_error)
{
    struct pollfd pollfd = {.fd = answer->mailbox.fd, .events = POLLIN};
    while (!answer->came && poll(&pollfd, 1, -1) > 0)
        mailbox_run(&answer->mailbox);
    mailbox_close(&answer->mailbox);
    *ret_error = answer->reply.error;
    return answer->reply.error.code;
}

static inline int site_claim(struct registry *registry, const struct registry_claim *claim,
                             struct error *ret_error)
{
    struct site_answer answer;
    assert_int_equal(registry_boot_claim(registry, claim, site_answer_open(&answer)), 0);
    return site_answer_wait(&answer, ret_error);
}

static inline int site_store_boot(struct registry *registry, uint64_t node_id, uint64_t boot_id,
                                  struct error *ret_error)
{
    struct site_answer answer;
    const struct registry_boot boot = {.id = boot_id, .node_id = node_id, .started_at = 1};
    assert_int_equal(registry_boot_store(registry, &boot, site_answer_open(&answer)), 0);
    return site_answer_wait(&answer, ret_error);
}

static inline void site_assert_told(const struct site *site, const char *words)
{
    assert_contains(site->error.text, words);
}

/* 52:54:00:00:xx:xx */
static inline struct mac_address site_mac(unsigned n)
{
    return (struct mac_address){{0x52, 0x54, 0, 0, (uint8_t)(n >> 8), (uint8_t)n}};
}

static inline struct registry_volume site_volume(const char *name, const char *path)
{
    return (struct registry_volume){.name = name,
                                    .path = path,
                                    .state = VOLUME_READY,
                                    .owned = true,
                                    .size = GIB,
                                    .block_size = 512};
}

/* A node with the MAC of this number, and (unless NULL) a volume that exists. */
static inline void site_add_node(struct site *site, const char *name, unsigned mac,
                                 const char *volume)
{
    struct mac_address macs[] = {site_mac(mac)};
    struct registry_node node = {.name = name, .macs = macs, .n_macs = 1, .volume = volume};
    site_must(registry_node_add(site->registry, &node, NULL, &site->error), &site->error);
}
