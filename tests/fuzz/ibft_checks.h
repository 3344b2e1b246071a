/* What holds of any table, wherever it was read. */
#pragma once

#include "ibft/print.h"

#include <assert.h>

static inline void check_text(const char *text)
{
    for (const char *p = text; *p; p++)
        assert(*p >= ' ' && *p < 0x7f);
}

static inline void check_lines(const char *text)
{
    for (const char *p = text; *p; p++)
        assert((*p >= ' ' && *p < 0x7f) || *p == '\n');
}

static inline void check_faults(const struct ibft_faults *faults)
{
    assert(faults->count <= IBFT_MAX_FAULTS);
    for (size_t i = 0; i < faults->count; i++)
        check_text(faults->list[i].text);
}

static inline void check_again(const struct ibft *ibft)
{
    static uint8_t bytes[IBFT_MAX_SIZE];
    struct ibft again, wanted = *ibft;
    struct ibft_faults faults = {0};
    struct error error;
    size_t size;
    assert(ibft_encode(ibft, bytes, sizeof(bytes), &size) == 0);
    assert(ibft_decode(bytes, size, &again, &faults, &error) == 0);
    wanted.length = (uint32_t)size;
    assert(memcmp(&again, &wanted, sizeof(again)) == 0);
}

static inline void check_formats(const struct ibft *ibft)
{
    static const char *const formats[] = {"iscsistart", "dracut", "networkd", "networkmanager"};
    for (size_t i = 0; i < ARRAY_SIZE(formats) * 2; i++) {
        struct ibft_output output = {0};
        struct error error;
        if (ibft_write(ibft, formats[i / 2], i % 2, &output, &error) < 0) {
            check_text(error.text);
            assert(output.n_files == 0);
        }
        for (size_t k = 0; k < output.n_files; k++)
            check_lines(output.files[k].text);
        ibft_output_free(&output);
    }
}

static inline char *shown(const struct ibft *ibft, const struct ibft_faults *faults)
{
    const struct ibft_source source = {.name = "here"};
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        abort();
    ibft_print(out, ibft, &source, faults, false);
    json_t *json = ibft_to_json(ibft, &source, faults, false);
    assert(json && json_dumpf(json, out, 0) == 0);
    json_decref(json);
    fclose(out);
    return text;
}

#define HUSH "<[{hush}]>"

/* A secret of its own kind, instead of one that is any text. */
static inline void check_secrets(const struct ibft *ibft, const struct ibft_faults *faults)
{
    struct ibft other = *ibft;
    for (size_t i = 0; i < IBFT_PAIRS; i++) {
        if (other.targets[i].secret[0])
            str_copy(other.targets[i].secret, IBFT_TEXT_SIZE, HUSH);
        if (other.targets[i].reverse_secret[0])
            str_copy(other.targets[i].reverse_secret, IBFT_TEXT_SIZE, HUSH);
    }
    char *text = shown(&other, faults);
    check_lines(text);
    assert(!strstr(text, HUSH));
    free(text);
}

/* Can be shown on a terminal, is the same once it was written and read again, comes to text in
 * every format, and shows its secrets to nobody who did not ask. */
static inline void check_table(const struct ibft *ibft, const struct ibft_faults *faults,
                               const uint8_t *input, size_t size)
{
    check_faults(faults);
    check_again(ibft);
    check_formats(ibft);
    if (!memmem(input, size, HUSH, strlen(HUSH)))
        check_secrets(ibft, faults);
}
