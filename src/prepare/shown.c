#include "prepare/shown.h"

/* The size of a UTF-8 sequence that begins so; 0: none does. */
static size_t sequence_size(unsigned char first)
{
    return first < 0x80                    ? 1
           : first >= 0xc2 && first < 0xe0 ? 2
           : first >= 0xe0 && first < 0xf0 ? 3
           : first >= 0xf0 && first < 0xf5 ? 4
                                           : 0;
}

size_t shown_size(const char *text, size_t left)
{
    static const uint32_t first[] = {0, 0x20, 0xa0, 0x800, 0x10000};
    size_t size = left ? sequence_size((unsigned char)text[0]) : 0;
    if (size == 0 || size > left)
        return 0;
    uint32_t code = (unsigned char)text[0];
    if (size > 1)
        code &= 0x7fU >> size;
    for (size_t i = 1; i < size; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (text[i] & 0x3f);
    }
    bool shown = code >= first[size] && code != 0x7f && code <= 0x10ffff &&
                 !(code >= 0xd800 && code < 0xe000);
    return shown ? size : 0;
}

void shown_print(FILE *file, const char *text, size_t size)
{
    for (size_t at = 0; at < size;) {
        size_t n = text[at] == '\n' || text[at] == '\t' ? 1 : shown_size(text + at, size - at);
        if (n)
            fwrite(text + at, 1, n, file);
        else
            fprintf(file, "\\x%02x", (unsigned char)text[at]);
        at += n ? n : 1;
    }
}
