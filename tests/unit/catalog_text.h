/* A catalog as text, so that two can be compared and the difference be read. */
#pragma once

#include "core/credentials.h"
#include "registry/catalog.h"

#include <inttypes.h>
#include <stdio.h>

static inline void text_of_bytes(FILE *out, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        fprintf(out, "%02x", bytes[i]);
    fputc(' ', out);
}

static inline const char *text_or_none(const char *text)
{
    return text ? text : "-";
}

static inline void text_of_chap(FILE *out, const struct chap_credentials *chap)
{
    for (; chap; chap = chap->older)
        fprintf(out, " chap %d %s %s %s %s %" PRIu64, (int)chap->mode, chap->initiator.user,
                chap->initiator.secret, chap->target.user, chap->target.secret, chap->tag);
}

static inline void text_of_stack(FILE *out, const struct catalog_layer *layers, size_t n,
                                 const struct catalog_base *base)
{
    for (size_t i = 0; i < n; i++) {
        fprintf(out, "\n  layer %" PRIu64 " %" PRIu64 " %d %s ", layers[i].id, layers[i].size,
                layers[i].made, layers[i].path);
        text_of_bytes(out, layers[i].identity, CATALOG_IDENTITY_SIZE);
    }
    fprintf(out, "\n  base %" PRIu64 " %s %s %" PRIu64 " ", base->version_id,
            text_or_none(base->image), text_or_none(base->path), base->size);
    text_of_bytes(out, base->identity, CATALOG_IDENTITY_SIZE);
}

static inline void text_of_overlay(FILE *out, const struct catalog_overlay *o)
{
    text_of_stack(out, o->layers, o->n_layers, &o->base);
    for (size_t i = 0; i < o->n_snapshots; i++) {
        const struct catalog_snapshot *s = &o->snapshots[i];
        fprintf(out, "\n snapshot %s %" PRIu64, s->name, s->created_at);
        text_of_stack(out, s->layers, s->n_layers, &s->base);
    }
    fprintf(out, "\n follows %d ephemeral %d staged %d %s", o->follows, o->ephemeral,
            (int)o->staged, text_or_none(o->staged_argument));
    if (o->trial)
        fprintf(out, " trial %" PRIu64 " %s %s %s", o->trial->boot_id,
                text_or_none(o->trial->snapshot), text_or_none(o->trial->running),
                text_or_none(o->trial->kept));
}

static inline void text_of_rules(FILE *out, const struct boot_rules *rules)
{
    char target[BOOT_TARGET_SIZE];
    for (size_t i = 0; rules && i < BOOT_SLOTS; i++) {
        const struct boot_rule *r = &rules->slots[i];
        if (r->target.kind != BOOT_TARGET_NONE)
            fprintf(out, "\n rule %zu %s %" PRIu64 " %" PRIu64 " %d %u %" PRIu64 " %u", i,
                    boot_target_format(&r->target, target), r->set_at, r->until, r->counted,
                    r->times, r->boot_id, r->after);
    }
}

static inline void text_of_entry(FILE *out, const struct catalog_entry *e)
{
    fprintf(out, "\nentry %" PRIu64 " %s '%s' %d %s '%s' %" PRIu64, e->id, e->name, e->title,
            (int)e->kind, e->file, e->arguments, e->created_at);
    for (size_t i = 0; i < e->n_initrds; i++)
        fprintf(out, " %s", e->initrds[i]);
    for (size_t i = 0; e->sha256 && i <= e->n_initrds; i++)
        fprintf(out, " sha256 %s", e->sha256[i]);
    if (e->answer)
        fprintf(out, " %s %s", answer_format_name(e->format), e->answer);
    for (size_t i = 0; i < e->n_variables; i++)
        fprintf(out, " %s=%s", e->variables[i].key, e->variables[i].value);
}

static inline void text_of_volume(FILE *out, const struct catalog_volume *v)
{
    fprintf(out, "\nvolume %" PRIu64 " %s %d %d %s %" PRIu64 " %u", v->id, v->name, (int)v->kind,
            (int)v->state, text_or_none(v->path), v->size, v->block_size);
    fprintf(out, " %d%d%d%d%d%d %s %s %" PRIu64 " ", v->read_only, v->thick, v->removable,
            v->shared, v->allow_any, v->owned, text_or_none(v->image), text_or_none(v->failure),
            v->created_at);
    text_of_bytes(out, v->serial, sizeof(v->serial));
    for (size_t i = 0; i < v->n_allow; i++)
        fprintf(out, " allow %s", v->allow[i]);
    for (size_t i = 0; i < v->n_sources; i++) {
        char text[SOURCE_TEXT_SIZE];
        fprintf(out, " from %s", source_format(&v->sources[i], text));
    }
    if (v->elsewhere)
        fprintf(out, " %s %u %s %u", v->elsewhere->host, v->elsewhere->port, v->elsewhere->target,
                v->elsewhere->lun);
    text_of_chap(out, v->chap);
    if (v->overlay)
        text_of_overlay(out, v->overlay);
}

static inline void text_of_options(FILE *out, const struct dhcp_options *options)
{
    char text[DHCP_SETTING_TEXT_SIZE];
    struct dhcp_setting setting;
    for (size_t at = 0; dhcp_options_next(options, &at, &setting);)
        fprintf(out, " option %s", dhcp_setting_format(&setting, text));
}

static inline void text_of_node(FILE *out, const struct catalog_node *n)
{
    fprintf(out, "\nnode %" PRIu64 " %s %s %08x %" PRIu64 " %" PRIu64, n->id, n->name,
            text_or_none(n->group), n->address, n->volume_id, n->created_at);
    for (size_t i = 0; i < n->n_macs; i++) {
        fputs(" mac ", out);
        text_of_bytes(out, n->macs[i].bytes, sizeof(n->macs[i].bytes));
    }
    for (size_t i = 0; i < n->n_paths; i++) {
        fprintf(out, " path %08x ", n->paths[i].address);
        text_of_bytes(out, n->paths[i].mac.bytes, sizeof(n->paths[i].mac.bytes));
    }
    for (size_t i = 0; i < n->n_attachments; i++)
        fprintf(out, " lun %u %" PRIu64, n->attachments[i].lun, n->attachments[i].volume_id);
    fprintf(out, " direct %d origin %d", (int)n->ways.direct, (int)n->ways.ibft_origin);
    text_of_chap(out, n->chap);
    fprintf(out, " %" PRIu64 " %d %d", n->chap_since, n->chap_seen, (int)n->ways.chap_rotation);
    fprintf(out, " wake %d ", n->wake_password.given);
    text_of_bytes(out, n->wake_password.bytes, sizeof(n->wake_password.bytes));
    text_of_options(out, n->options);
    text_of_rules(out, n->rules);
}

static inline void text_of_image(FILE *out, const struct catalog_image *i)
{
    fprintf(out, "\nimage %" PRIu64 " %s %u %s %" PRIu64 " %" PRIu64 " %s %s %s ", i->id, i->name,
            i->version, i->path, i->size, i->created_at, text_or_none(i->sha256),
            text_or_none(i->source), text_or_none(i->format));
    text_of_bytes(out, i->identity, sizeof(i->identity));
    for (size_t k = 0; k < i->n_labels; k++)
        fprintf(out, " %s=%s", i->labels[k].key, i->labels[k].value);
}

/* free() it. */
static inline char *catalog_text(const struct catalog *catalog)
{
    char *text = NULL;
    size_t size = 0, n;
    FILE *out = open_memstream(&text, &size);
    fputs(catalog_base_iqn(catalog), out);
    const struct catalog_group *groups = catalog_groups(catalog, &n);
    for (size_t i = 0; i < n; i++) {
        fprintf(out, "\ngroup %" PRIu64 " %s %" PRIu64, groups[i].id, groups[i].name,
                groups[i].created_at);
        text_of_options(out, groups[i].options);
        text_of_rules(out, groups[i].rules);
    }
    text_of_rules(out, catalog_site_rules(catalog));
    const struct catalog_entry *entries = catalog_entries(catalog, &n);
    for (size_t i = 0; i < n; i++)
        text_of_entry(out, &entries[i]);
    const struct catalog_image *images = catalog_images(catalog, &n);
    for (size_t i = 0; i < n; i++)
        text_of_image(out, &images[i]);
    const struct catalog_volume *volumes = catalog_volumes(catalog, &n);
    for (size_t i = 0; i < n; i++)
        text_of_volume(out, &volumes[i]);
    const struct catalog_node *nodes = catalog_nodes(catalog, &n);
    for (size_t i = 0; i < n; i++)
        text_of_node(out, &nodes[i]);
    fclose(out);
    return text;
}
