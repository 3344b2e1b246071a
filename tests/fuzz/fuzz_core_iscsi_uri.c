/*
 * URIs of LUNs of iSCSI targets. Input: the text. What is taken has only characters that mean
 * nothing to anybody, is of its ranges, and has one text, which is taken in its turn and is the
 * same.
 */
#include "core/iscsi_uri.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct iscsi_uri *uri)
{
    static const char marks[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:";
    assert(uri->host[0] &&
           !uri->host[strspn(uri->host, "abcdefghijklmnopqrstuvwxyz0123456789.-:[]")]);
    assert(strlen(uri->target) > 4 && !uri->target[strspn(uri->target, marks)]);
    assert((uri->host[0] == '[') == (strchr(uri->host, ':') != NULL));
    assert(uri->port > 0 && uri->lun <= ISCSI_URI_LUN_MAX);
    assert((iscsi_uri_wire_lun(uri) & 0x3fff) == uri->lun);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char first[ISCSI_URI_SIZE], second[ISCSI_URI_SIZE], portal[ISCSI_URI_SIZE];
    struct iscsi_uri uri, again;
    struct error error;
    cleanup_free char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (iscsi_uri_parse(text, &uri, &error) < 0) {
        assert(error.text[0]);
        return 0;
    }
    check(&uri);
    iscsi_uri_format(&uri, first);
    int r = iscsi_uri_parse(first, &again, &error);
    assert(r == 0);
    iscsi_uri_format(&again, second);
    assert(str_eq(first, second));
    assert(strstr(iscsi_uri_format_portal(&uri, portal), uri.host) == portal);
    return 0;
}
