#include "registry/catalog.h"

#include "core/arena.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

struct mac_entry {
    struct mac_address mac;
    size_t node; /* index in nodes */
};

struct address_entry {
    uint32_t address;
    size_t node;
};

struct id_entry {
    uint64_t id;
    size_t volume; /* index in volumes */
};

struct catalog {
    atomic_uint references;
    uint64_t generation;
    struct arena arena;
    const char *base_iqn;

    struct catalog_node *nodes;
    size_t n_nodes, nodes_room;
    struct catalog_volume *volumes;
    size_t n_volumes, volumes_room;
    struct catalog_image *images;
    size_t n_images, images_room;
    struct catalog_group *groups;
    size_t n_groups, groups_room;
    struct catalog_entry *entries;
    size_t n_entries, entries_room;
    struct boot_rules site_rules;

    /* built by catalog_seal(), in the arena */
    struct mac_entry *by_mac;
    size_t n_macs;
    struct address_entry *by_address;
    size_t n_addresses;
    struct id_entry *by_volume_id;
};

static const char *const kind_names[] = {
    [VOLUME_FILE] = "file", [VOLUME_DEVICE] = "device", [VOLUME_OVERLAY] = "overlay",
    [VOLUME_NBD] = "nbd",   [VOLUME_ISCSI] = "iscsi",
};

const char *volume_kind_name(enum volume_kind kind)
{
    return kind_names[kind];
}

int volume_kind_parse(const char *name, enum volume_kind *ret_kind)
{
    for (size_t i = 0; i < ARRAY_SIZE(kind_names); i++) {
        if (str_eq(kind_names[i], name)) {
            *ret_kind = (enum volume_kind)i;
            return 0;
        }
    }
    return -EINVAL;
}

static const char *const entry_kind_names[] = {
    [BOOT_ENTRY_LIVE] = "live",
    [BOOT_ENTRY_SCRIPT] = "script",
    [BOOT_ENTRY_INSTALLER] = "installer",
};

const char *boot_entry_kind_name(enum boot_entry_kind kind)
{
    return entry_kind_names[kind];
}

int boot_entry_kind_parse(const char *name, enum boot_entry_kind *ret_kind)
{
    for (size_t i = 0; i < ARRAY_SIZE(entry_kind_names); i++) {
        if (str_eq(entry_kind_names[i], name)) {
            *ret_kind = (enum boot_entry_kind)i;
            return 0;
        }
    }
    return -EINVAL;
}

struct catalog *catalog_new(const char *base_iqn, uint64_t generation)
{
    struct catalog *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    atomic_init(&c->references, 1);
    c->generation = generation;
    c->base_iqn = arena_strdup(&c->arena, base_iqn);
    if (!c->base_iqn) {
        catalog_unref(c);
        return NULL;
    }
    return c;
}

struct catalog *catalog_ref(struct catalog *catalog)
{
    atomic_fetch_add_explicit(&catalog->references, 1, memory_order_relaxed);
    return catalog;
}

static void wipe_chain(const struct chap_credentials *chap)
{
    for (const struct chap_credentials *next; chap; chap = next) {
        next = chap->older;
        chap_credentials_wipe((struct chap_credentials *)chap);
    }
}

/* Secrets do not stay behind in memory that is given back. */
static void wipe_secrets(struct catalog *c)
{
    for (size_t i = 0; i < c->n_nodes; i++)
        wipe_chain(c->nodes[i].chap);
    for (size_t i = 0; i < c->n_volumes; i++)
        wipe_chain(c->volumes[i].chap);
}

void catalog_unref(struct catalog *catalog)
{
    if (!catalog || atomic_fetch_sub_explicit(&catalog->references, 1, memory_order_acq_rel) != 1)
        return;
    wipe_secrets(catalog);
    free(catalog->nodes);
    free(catalog->volumes);
    free(catalog->images);
    free(catalog->groups);
    free(catalog->entries);
    arena_free(&catalog->arena);
    free(catalog);
}

/* Room for one more element of `size` bytes in a growing array. */
static void *array_append(void **array, size_t *count, size_t *room, size_t size)
{
    if (*count == *room) {
        size_t more = *room ? *room * 2 : 16;
        void *grown = reallocarray(*array, more, size);
        if (!grown)
            return NULL;
        *array = grown;
        *room = more;
    }
    return (char *)*array + size * (*count)++;
}

static void *arena_copy(struct arena *arena, const void *data, size_t size)
{
    void *copy = arena_alloc(arena, size ? size : 1);
    if (copy && size)
        memcpy(copy, data, size);
    return copy;
}

/* False: no memory. None stays none. */
static bool copy_chap(struct arena *arena, const struct chap_credentials *chap,
                      const struct chap_credentials **ret_copy)
{
    const struct chap_credentials **place = ret_copy;
    *ret_copy = NULL;
    if (!chap || chap->mode == CHAP_NONE)
        return true;
    for (; chap; chap = chap->older) {
        struct chap_credentials *copy = arena_copy(arena, chap, sizeof(*chap));
        if (!copy)
            return false;
        copy->older = NULL;
        *place = copy;
        place = &copy->older;
    }
    return true;
}

/* The same. */
static bool copy_options(struct arena *arena, const struct dhcp_options *options,
                         const struct dhcp_options **ret_copy)
{
    bool none = !options || options->used == 0;
    *ret_copy = none ? NULL : arena_copy(arena, options, dhcp_options_size(options));
    return none || *ret_copy;
}

/* The same. */
static bool copy_rules(struct arena *arena, const struct boot_rules *rules,
                       const struct boot_rules **ret_copy)
{
    bool none = true;
    for (size_t i = 0; rules && i < BOOT_SLOTS; i++)
        none &= rules->slots[i].target.kind == BOOT_TARGET_NONE;
    *ret_copy = none ? NULL : arena_copy(arena, rules, sizeof(*rules));
    return none || *ret_copy;
}

int catalog_add_node(struct catalog *c, const struct catalog_node *node)
{
    struct catalog_node copy = *node;
    copy.name = arena_strdup(&c->arena, node->name);
    copy.group = arena_strdup(&c->arena, node->group);
    copy.macs = arena_copy(&c->arena, node->macs, node->n_macs * sizeof(*node->macs));
    copy.attachments =
        arena_copy(&c->arena, node->attachments, node->n_attachments * sizeof(*node->attachments));
    copy.paths = arena_copy(&c->arena, node->paths, node->n_paths * sizeof(*node->paths));
    bool chap = copy_chap(&c->arena, node->chap, &copy.chap);
    if (!copy.name || (node->group && !copy.group) || !copy.macs || !copy.attachments ||
        !copy.paths || !chap || !copy_options(&c->arena, node->options, &copy.options) ||
        !copy_rules(&c->arena, node->rules, &copy.rules))
        return -ENOMEM;
    struct catalog_node *place =
        array_append((void **)&c->nodes, &c->n_nodes, &c->nodes_room, sizeof(*place));
    if (!place)
        return -ENOMEM;
    *place = copy;
    c->n_macs += node->n_macs;
    c->n_addresses += (node->address != 0) + node->n_paths;
    return 0;
}

int catalog_add_volume(struct catalog *c, const struct catalog_volume *volume)
{
    struct catalog_volume copy = *volume;
    copy.name = arena_strdup(&c->arena, volume->name);
    copy.path = arena_strdup(&c->arena, volume->path);
    copy.image = arena_strdup(&c->arena, volume->image);
    copy.failure = arena_strdup(&c->arena, volume->failure);
    copy.overlay = volume->overlay ? catalog_overlay_copy(&c->arena, volume->overlay) : NULL;
    copy.elsewhere = volume->elsewhere
                         ? arena_copy(&c->arena, volume->elsewhere, sizeof(*volume->elsewhere))
                         : NULL;
    copy.sources =
        arena_copy(&c->arena, volume->sources, volume->n_sources * sizeof(*volume->sources));
    const char **allow = arena_alloc(&c->arena, (volume->n_allow + 1) * sizeof(*allow));
    if (!copy.name || (volume->path && !copy.path) || (volume->image && !copy.image) ||
        (volume->failure && !copy.failure) || (volume->overlay && !copy.overlay) ||
        (volume->elsewhere && !copy.elsewhere) || !allow || !copy.sources ||
        !copy_chap(&c->arena, volume->chap, &copy.chap))
        return -ENOMEM;
    for (size_t i = 0; i < volume->n_allow; i++) {
        allow[i] = arena_strdup(&c->arena, volume->allow[i]);
        if (!allow[i])
            return -ENOMEM;
    }
    copy.allow = allow;
    struct catalog_volume *place =
        array_append((void **)&c->volumes, &c->n_volumes, &c->volumes_room, sizeof(*place));
    if (!place)
        return -ENOMEM;
    *place = copy;
    return 0;
}

/* False: no memory. NULL stays NULL. */
static bool copy_text(struct arena *arena, const char *text, const char **ret_copy)
{
    *ret_copy = arena_strdup(arena, text);
    return !text || *ret_copy;
}

static bool copy_labels(struct arena *arena, const struct catalog_label *list, size_t count,
                        const struct catalog_label **ret_copy)
{
    struct catalog_label *labels = arena_alloc(arena, (count + 1) * sizeof(*labels));
    for (size_t i = 0; labels && i < count; i++)
        if (!copy_text(arena, list[i].key, &labels[i].key) ||
            !copy_text(arena, list[i].value, &labels[i].value))
            return false;
    *ret_copy = labels;
    return labels != NULL;
}

int catalog_add_image(struct catalog *c, const struct catalog_image *image)
{
    struct catalog_image copy = *image;
    if (!copy_text(&c->arena, image->name, &copy.name) ||
        !copy_text(&c->arena, image->path, &copy.path) ||
        !copy_text(&c->arena, image->sha256, &copy.sha256) ||
        !copy_text(&c->arena, image->source, &copy.source) ||
        !copy_text(&c->arena, image->format, &copy.format) ||
        !copy_labels(&c->arena, image->labels, image->n_labels, &copy.labels))
        return -ENOMEM;
    struct catalog_image *place =
        array_append((void **)&c->images, &c->n_images, &c->images_room, sizeof(*place));
    if (!place)
        return -ENOMEM;
    *place = copy;
    return 0;
}

int catalog_add_group(struct catalog *c, const struct catalog_group *group)
{
    struct catalog_group copy = *group;
    copy.name = arena_strdup(&c->arena, group->name);
    if (!copy.name || !copy_options(&c->arena, group->options, &copy.options) ||
        !copy_rules(&c->arena, group->rules, &copy.rules))
        return -ENOMEM;
    struct catalog_group *place =
        array_append((void **)&c->groups, &c->n_groups, &c->groups_room, sizeof(*place));
    if (!place)
        return -ENOMEM;
    *place = copy;
    return 0;
}

static bool copy_texts(struct arena *arena, const char *const *texts, size_t count,
                       const char *const **ret_copy)
{
    const char **copy = arena_alloc(arena, (count + 1) * sizeof(*copy));
    for (size_t i = 0; copy && i < count; i++)
        if (!copy_text(arena, texts[i], &copy[i]))
            return false;
    *ret_copy = copy;
    return copy != NULL;
}

int catalog_add_entry(struct catalog *c, const struct catalog_entry *entry)
{
    struct catalog_entry copy = *entry;
    if (!copy_text(&c->arena, entry->name, &copy.name) ||
        !copy_text(&c->arena, entry->title, &copy.title) ||
        !copy_text(&c->arena, entry->file, &copy.file) ||
        !copy_text(&c->arena, entry->arguments, &copy.arguments) ||
        !copy_text(&c->arena, entry->answer, &copy.answer) ||
        !copy_labels(&c->arena, entry->variables, entry->n_variables, &copy.variables) ||
        !copy_texts(&c->arena, entry->initrds, entry->n_initrds, &copy.initrds))
        return -ENOMEM;
    if (entry->sha256 && !copy_texts(&c->arena, entry->sha256, entry->n_initrds + 1, &copy.sha256))
        return -ENOMEM;
    if (entry->urls && !copy_texts(&c->arena, entry->urls, entry->n_initrds + 1, &copy.urls))
        return -ENOMEM;
    struct catalog_entry *place =
        array_append((void **)&c->entries, &c->n_entries, &c->entries_room, sizeof(*place));
    if (!place)
        return -ENOMEM;
    *place = copy;
    return 0;
}

void catalog_set_site_rules(struct catalog *c, const struct boot_rules *rules)
{
    c->site_rules = *rules;
}

/* Each compare_* serves both qsort() and bsearch(). */
static int compare_node_name(const void *a, const void *b)
{
    return strcmp(((const struct catalog_node *)a)->name, ((const struct catalog_node *)b)->name);
}

static int compare_volume_name(const void *a, const void *b)
{
    return strcmp(((const struct catalog_volume *)a)->name,
                  ((const struct catalog_volume *)b)->name);
}

static int compare_image(const void *a, const void *b)
{
    const struct catalog_image *x = a, *y = b;
    int r = strcmp(x->name, y->name);
    return r ? r : (x->version > y->version) - (x->version < y->version);
}

static int compare_group_name(const void *a, const void *b)
{
    return strcmp(((const struct catalog_group *)a)->name, ((const struct catalog_group *)b)->name);
}

static int compare_entry_name(const void *a, const void *b)
{
    return strcmp(((const struct catalog_entry *)a)->name, ((const struct catalog_entry *)b)->name);
}

static int compare_mac(const void *a, const void *b)
{
    return memcmp(((const struct mac_entry *)a)->mac.bytes,
                  ((const struct mac_entry *)b)->mac.bytes, sizeof(struct mac_address));
}

static int compare_address(const void *a, const void *b)
{
    uint32_t x = ((const struct address_entry *)a)->address;
    uint32_t y = ((const struct address_entry *)b)->address;
    return (x > y) - (x < y);
}

static int compare_id(const void *a, const void *b)
{
    uint64_t x = ((const struct id_entry *)a)->id, y = ((const struct id_entry *)b)->id;
    return (x > y) - (x < y);
}

/* qsort() and bsearch() must not be given a NULL array, even an empty one. */
static void sort(void *array, size_t count, size_t size, int (*compare)(const void *, const void *))
{
    if (count > 0)
        qsort(array, count, size, compare);
}

static const void *find(const void *key, const void *array, size_t count, size_t size,
                        int (*compare)(const void *, const void *))
{
    return count > 0 ? bsearch(key, array, count, size, compare) : NULL;
}

static void index_nodes(struct catalog *c)
{
    size_t m = 0, a = 0;
    for (size_t i = 0; i < c->n_nodes; i++) {
        const struct catalog_node *node = &c->nodes[i];
        for (size_t k = 0; k < node->n_macs; k++)
            c->by_mac[m++] = (struct mac_entry){.mac = node->macs[k], .node = i};
        if (node->address)
            c->by_address[a++] = (struct address_entry){.address = node->address, .node = i};
        for (size_t k = 0; k < node->n_paths; k++)
            c->by_address[a++] =
                (struct address_entry){.address = node->paths[k].address, .node = i};
    }
    sort(c->by_mac, m, sizeof(*c->by_mac), compare_mac);
    sort(c->by_address, a, sizeof(*c->by_address), compare_address);
}

int catalog_seal(struct catalog *c)
{
    c->by_mac = arena_alloc(&c->arena, (c->n_macs + 1) * sizeof(*c->by_mac));
    c->by_address = arena_alloc(&c->arena, (c->n_addresses + 1) * sizeof(*c->by_address));
    c->by_volume_id = arena_alloc(&c->arena, (c->n_volumes + 1) * sizeof(*c->by_volume_id));
    if (!c->by_mac || !c->by_address || !c->by_volume_id)
        return -ENOMEM;
    sort(c->nodes, c->n_nodes, sizeof(*c->nodes), compare_node_name);
    sort(c->volumes, c->n_volumes, sizeof(*c->volumes), compare_volume_name);
    sort(c->images, c->n_images, sizeof(*c->images), compare_image);
    sort(c->groups, c->n_groups, sizeof(*c->groups), compare_group_name);
    sort(c->entries, c->n_entries, sizeof(*c->entries), compare_entry_name);
    index_nodes(c);
    for (size_t i = 0; i < c->n_volumes; i++)
        c->by_volume_id[i] = (struct id_entry){.id = c->volumes[i].id, .volume = i};
    sort(c->by_volume_id, c->n_volumes, sizeof(*c->by_volume_id), compare_id);
    return 0;
}

uint64_t catalog_generation(const struct catalog *catalog)
{
    return catalog->generation;
}

const char *catalog_base_iqn(const struct catalog *catalog)
{
    return catalog->base_iqn;
}

const struct catalog_node *catalog_nodes(const struct catalog *catalog, size_t *ret_count)
{
    *ret_count = catalog->n_nodes;
    return catalog->nodes;
}

const struct catalog_volume *catalog_volumes(const struct catalog *catalog, size_t *ret_count)
{
    *ret_count = catalog->n_volumes;
    return catalog->volumes;
}

const struct catalog_image *catalog_images(const struct catalog *catalog, size_t *ret_count)
{
    *ret_count = catalog->n_images;
    return catalog->images;
}

const struct catalog_group *catalog_groups(const struct catalog *catalog, size_t *ret_count)
{
    *ret_count = catalog->n_groups;
    return catalog->groups;
}

const struct catalog_entry *catalog_entries(const struct catalog *catalog, size_t *ret_count)
{
    *ret_count = catalog->n_entries;
    return catalog->entries;
}

const struct boot_rules *catalog_site_rules(const struct catalog *catalog)
{
    return &catalog->site_rules;
}

const struct catalog_node *catalog_node_by_mac(const struct catalog *c, struct mac_address mac)
{
    struct mac_entry key = {.mac = mac};
    const struct mac_entry *e = find(&key, c->by_mac, c->n_macs, sizeof(key), compare_mac);
    return e ? &c->nodes[e->node] : NULL;
}

const struct catalog_node *catalog_node_by_name(const struct catalog *c, const char *name)
{
    struct catalog_node key = {.name = name};
    return find(&key, c->nodes, c->n_nodes, sizeof(key), compare_node_name);
}

const struct catalog_node *catalog_node_by_address(const struct catalog *c, uint32_t address)
{
    struct address_entry key = {.address = address};
    const struct address_entry *e =
        find(&key, c->by_address, c->n_addresses, sizeof(key), compare_address);
    return e ? &c->nodes[e->node] : NULL;
}

uint32_t catalog_node_address_of(const struct catalog_node *node, struct mac_address mac)
{
    for (size_t i = 0; i < node->n_paths; i++)
        if (mac_eq(node->paths[i].mac, mac))
            return node->paths[i].address;
    return node->address;
}

bool catalog_node_has_address(const struct catalog_node *node, uint32_t address)
{
    bool has = address && node->address == address;
    for (size_t i = 0; i < node->n_paths; i++)
        has |= address && node->paths[i].address == address;
    return has;
}

/* What follows "<base-iqn>:" in an iSCSI name of ours, or NULL. */
static const char *own_suffix(const struct catalog *c, const char *iqn)
{
    size_t n = strlen(c->base_iqn);
    return strncmp(iqn, c->base_iqn, n) == 0 && iqn[n] == ':' ? iqn + n + 1 : NULL;
}

const struct catalog_node *catalog_node_by_initiator(const struct catalog *c, const char *initiator)
{
    const char *suffix = own_suffix(c, initiator);
    struct mac_address mac;
    if (!suffix)
        return NULL;
    const struct catalog_node *node = catalog_node_by_name(c, suffix);
    if (!node && mac_parse(suffix, &mac) == 0)
        node = catalog_node_by_mac(c, mac);
    return node;
}

const struct catalog_entry *catalog_entry_by_name(const struct catalog *c, const char *name)
{
    struct catalog_entry key = {.name = name};
    return find(&key, c->entries, c->n_entries, sizeof(key), compare_entry_name);
}

const struct catalog_group *catalog_group_by_name(const struct catalog *c, const char *name)
{
    struct catalog_group key = {.name = name};
    return name ? find(&key, c->groups, c->n_groups, sizeof(key), compare_group_name) : NULL;
}

const struct catalog_volume *catalog_volume_by_name(const struct catalog *c, const char *name)
{
    struct catalog_volume key = {.name = name};
    return find(&key, c->volumes, c->n_volumes, sizeof(key), compare_volume_name);
}

const struct catalog_volume *catalog_volume_by_id(const struct catalog *c, uint64_t id)
{
    struct id_entry key = {.id = id};
    const struct id_entry *e = find(&key, c->by_volume_id, c->n_volumes, sizeof(key), compare_id);
    return e ? &c->volumes[e->volume] : NULL;
}

/* Does the name of the image that it stands on begin so? */
static bool stands_on(const struct catalog_volume *volume, const char *system)
{
    const char *image = volume->overlay ? volume->overlay->base.image : NULL;
    return image && system[0] && strncmp(image, system, strlen(system)) == 0;
}

/* <node>.<system>, as scripts that other people have call it: the node's disk, if the name of the
 * image that it stands on begins with <system>. So web1.debian is the disk of web1, where that is
 * an overlay over debian12, and web1.ubuntu is none. */
static const struct catalog_volume *volume_by_system(const struct catalog *c, const char *text)
{
    char name[NAME_MAX_LEN + 1];
    for (const char *dot = strrchr(text, '.'); dot;
         dot = memrchr(text, '.', (size_t)(dot - text))) {
        if ((size_t)(dot - text) >= sizeof(name))
            continue;
        memcpy(name, text, (size_t)(dot - text));
        name[dot - text] = '\0';
        const struct catalog_node *node = catalog_node_by_name(c, name);
        const struct catalog_volume *volume =
            node ? catalog_volume_by_id(c, node->volume_id) : NULL;
        if (volume && stands_on(volume, dot + 1))
            return volume;
    }
    return NULL;
}

const struct catalog_volume *catalog_volume_by_target(const struct catalog *c, const char *target)
{
    const char *suffix = own_suffix(c, target);
    const struct catalog_volume *volume = suffix ? catalog_volume_by_name(c, suffix) : NULL;
    return volume || !suffix ? volume : volume_by_system(c, suffix);
}

const struct catalog_image *catalog_image_find(const struct catalog *c, const char *name,
                                               uint32_t version)
{
    const struct catalog_image *found = NULL;
    for (size_t i = 0; i < c->n_images; i++) /* ordered: the last match is the latest */
        if (str_eq(c->images[i].name, name) && (version == 0 || c->images[i].version == version))
            found = &c->images[i];
    return found;
}

bool catalog_may_access(const struct catalog *c, const char *initiator,
                        const struct catalog_volume *volume)
{
    if (volume->elsewhere)
        return false;
    if (volume->allow_any)
        return true;
    for (size_t i = 0; i < volume->n_allow; i++)
        if (str_eq(volume->allow[i], initiator))
            return true;
    const struct catalog_node *node = catalog_node_by_initiator(c, initiator);
    return node && node->volume_id == volume->id;
}

bool catalog_may_boot(const struct catalog *c, const struct catalog_node *node,
                      const struct catalog_volume *volume)
{
    char initiator[IQN_MAX_LEN + NAME_MAX_LEN + 2];
    if (volume->id == node->volume_id)
        return true;
    snprintf(initiator, sizeof(initiator), "%s:%s", c->base_iqn, node->name);
    return catalog_may_access(c, initiator, volume);
}

static bool is_own_address(const struct catalog *c, const char *initiator,
                           const struct endpoint *peer)
{
    uint32_t address;
    const struct catalog_node *node = catalog_node_by_initiator(c, initiator);
    return node && endpoint_ipv4(peer, &address) && catalog_node_has_address(node, address);
}

bool catalog_may_come_from(const struct catalog *c, const char *initiator,
                           const struct catalog_volume *volume, const struct endpoint *peer)
{
    for (size_t i = 0; i < volume->n_sources; i++) {
        const struct source *s = &volume->sources[i];
        if (s->node ? is_own_address(c, initiator, peer) : source_has(s, peer))
            return true;
    }
    return volume->n_sources == 0;
}

const struct chap_credentials *catalog_chap(const struct catalog *c, const char *initiator,
                                            const struct catalog_volume *volume)
{
    const struct catalog_node *node = catalog_node_by_initiator(c, initiator);
    if (node && (node->chap || node->volume_id == volume->id))
        return node->chap;
    return volume->chap;
}

struct catalog_slot {
    pthread_mutex_t lock; /* protects `current`, and taking a reference to it */
    struct catalog *current;
};

struct catalog_slot *catalog_slot_new(void)
{
    struct catalog_slot *slot = calloc(1, sizeof(*slot));
    if (slot)
        pthread_mutex_init(&slot->lock, NULL);
    return slot;
}

void catalog_slot_free(struct catalog_slot *slot)
{
    if (!slot)
        return;
    catalog_unref(slot->current);
    pthread_mutex_destroy(&slot->lock);
    free(slot);
}

void catalog_slot_set(struct catalog_slot *slot, struct catalog *catalog)
{
    pthread_mutex_lock(&slot->lock);
    struct catalog *old = slot->current;
    slot->current = catalog;
    pthread_mutex_unlock(&slot->lock);
    catalog_unref(old);
}

struct catalog *catalog_slot_get(struct catalog_slot *slot)
{
    pthread_mutex_lock(&slot->lock);
    struct catalog *c = slot->current ? catalog_ref(slot->current) : NULL;
    pthread_mutex_unlock(&slot->lock);
    return c;
}
