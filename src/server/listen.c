#include "server/listen.h"

#include "core/listener.h"
#include "core/words.h"

#include <errno.h>

static const char *add_listen(char *word, void *context)
{
    struct listen_list *list = context;
    if (list->count == LISTEN_MAX)
        return "names more than 8 addresses";
    int r = endpoint_parse(word, &list->endpoints[list->count]);
    if (r == -ENODEV)
        return "names an interface behind the % that this server does not have";
    if (r < 0)
        return "must be ADDRESS:PORT, such as 0.0.0.0:3260, [::]:3260 or [fe80::1%eth1]:3260";
    list->count++;
    return NULL;
}

/* "volume=10.0.0.2:3260" */
static const char *add_redirect(char *word, void *context)
{
    struct redirect_list *list = context;
    struct redirect *entry = &list->entries[list->count];
    char *portal = strchr(word, '=');
    if (list->count == REDIRECT_MAX)
        return "names more than 64 volumes";
    if (portal)
        *portal++ = '\0';
    if (!portal || !name_is_object(word) || endpoint_parse(portal, &entry->portal) < 0 ||
        endpoint_port(&entry->portal) == 0 || endpoint_is_any(&entry->portal) ||
        !str_copy(entry->volume, sizeof(entry->volume), word))
        return "must be VOLUME=ADDRESS:PORT, such as disk1=10.0.0.2:3260 or "
               "disk1=[2001:db8::2]:3260";
    if (endpoint_is_link_local(&entry->portal))
        return "names a link-local address, by which its initiators could not reach it";
    list->count++;
    return NULL;
}

const char *listen_list_parse(const char *text, struct listen_list *list)
{
    return words_each(text, add_listen, list);
}

const char *redirect_list_parse(const char *text, struct redirect_list *list)
{
    return words_each(text, add_redirect, list);
}

static bool endpoint_eq(const struct endpoint *a, const struct endpoint *b)
{
    return endpoint_same_host(a, b) && endpoint_port(a) == endpoint_port(b);
}

bool listen_list_eq(const struct listen_list *a, const struct listen_list *b)
{
    for (size_t i = 0; i < a->count && i < b->count; i++)
        if (!endpoint_eq(&a->endpoints[i], &b->endpoints[i]))
            return false;
    return a->count == b->count;
}

bool redirect_list_eq(const struct redirect_list *a, const struct redirect_list *b)
{
    for (size_t i = 0; i < a->count && i < b->count; i++)
        if (!str_eq(a->entries[i].volume, b->entries[i].volume) ||
            !endpoint_eq(&a->entries[i].portal, &b->entries[i].portal))
            return false;
    return a->count == b->count;
}

const struct endpoint *listen_list_find(const struct listen_list *list,
                                        const struct endpoint *address)
{
    return listener_find(list->endpoints, list->count, address);
}
