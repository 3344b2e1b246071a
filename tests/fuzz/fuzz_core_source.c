/*
 * Where logins may come from. Input: the text. What is taken has one text, which is taken in its
 * turn and is the same; its first address is in it.
 */
#include "core/source.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char first[SOURCE_TEXT_SIZE], second[SOURCE_TEXT_SIZE];
    struct source source, again;
    cleanup_free char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (source_parse(text, &source) < 0)
        return 0;
    int r = source_parse(source_format(&source, first), &again);
    assert(r == 0);
    assert(str_eq(first, source_format(&again, second)));
    if (source.node)
        return 0;
    struct endpoint peer = {.v6 = {.sin6_family = AF_INET6, .sin6_addr = source.network}};
    uint32_t ignored;
    assert(source.bits <= 128);
    assert(source_has(&source, &peer) ||
           (!source_is_ipv4(&source) && endpoint_ipv4(&peer, &ignored)));
    return 0;
}
