/*
 * Reads the bytes of a table. Each thing that it points to is looked at before it is used, and what
 * is wrong is told with what comes of it; what Linux does is that of drivers/firmware/iscsi_ibft.c
 * (all versions up to 6.12).
 */
#include "ibft/ibft.h"
#include "ibft/layout.h"

#include "core/wire.h"

#include <errno.h>

#define MAX_RANGES 32

/* What a structure or a text takes up. */
struct range {
    size_t begin, end;
    bool text;
    char what[48];
};

struct decoder {
    const uint8_t *data;
    size_t size; /* of the table, never more than there is */
    struct ibft *ibft;
    struct ibft_faults *faults;
    struct range ranges[MAX_RANGES];
    size_t n_ranges;
};

/* A text may be used twice; anything else has its place for itself. */
static void claim(struct decoder *d, size_t begin, size_t size, bool text, const char *what)
{
    size_t end = begin + size;
    for (size_t i = 0; i < d->n_ranges; i++) {
        const struct range *r = &d->ranges[i];
        bool same_text = text && r->text && r->begin == begin && r->end == end;
        if (begin < r->end && r->begin < end && !same_text)
            ibft_fault(d->faults, IBFT_WARNING, "%s lies over %s (bytes %zu to %zu)", what, r->what,
                       MAX(begin, r->begin), MIN(end, r->end) - 1);
    }
    if (d->n_ranges == MAX_RANGES)
        return;
    struct range *r = &d->ranges[d->n_ranges++];
    *r = (struct range){.begin = begin, .end = end, .text = text};
    str_copy(r->what, sizeof(r->what), what);
}

static bool is_printable(const uint8_t *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] < ' ' || text[i] > '~')
            return false;
    return true;
}

/* A length and an offset, which the reader is at: the text there. It stays "" if it is none. */
static void get_text(struct decoder *d, struct wire_reader *r, const char *what,
                     char ret_text[static IBFT_TEXT_SIZE])
{
    size_t length = wire_get_le16(r), at = wire_get_le16(r);
    if (at == 0 || length == 0) {
        if (length != 0)
            ibft_fault(d->faults, IBFT_ERROR, "%s has a length of %zu and no place", what, length);
        return;
    }
    if (at + length > d->size) {
        ibft_fault(d->faults, IBFT_ERROR,
                   "%s is said to be at bytes %zu to %zu, behind the table's end at %zu; whoever "
                   "believes that reads other memory",
                   what, at, at + length - 1, d->size);
        return;
    }
    const uint8_t *text = d->data + at;
    bool ends = at + length < d->size && text[length] == '\0';
    claim(d, at, length + (ends ? 1 : 0), true, what);
    if (!ends)
        ibft_fault(d->faults, IBFT_WARNING, "%s does not end with a zero byte", what);
    size_t used = strnlen((const char *)text, length);
    if (used < length)
        ibft_fault(d->faults, IBFT_WARNING, "%s has a length of %zu and ends after %zu", what,
                   length, used);
    if (used >= IBFT_TEXT_SIZE) {
        ibft_fault(d->faults, IBFT_ERROR, "%s has %zu characters, more than %d; it is left out",
                   what, used, IBFT_TEXT_SIZE - 1);
        return;
    }
    if (!is_printable(text, used)) {
        ibft_fault(d->faults, IBFT_ERROR,
                   "%s has characters that are not printable ASCII; it is left out", what);
        return;
    }
    memcpy(ret_text, text, used);
    ret_text[used] = '\0';
}

static struct ibft_ip get_ip(struct wire_reader *r)
{
    struct ibft_ip ip;
    wire_get_copy(r, ip.bytes, sizeof(ip.bytes));
    return ip;
}

static void get_initiator(struct decoder *d, struct wire_reader *r, size_t number)
{
    struct ibft_initiator *initiator = &d->ibft->initiator;
    for (size_t i = 0; i < IBFT_ADDRESSES; i++)
        initiator->servers[i] = get_ip(r);
    get_text(d, r, "the initiator's name", initiator->name);
}

static void get_nic(struct decoder *d, struct wire_reader *r, size_t number)
{
    char what[48];
    struct ibft_nic *nic = &d->ibft->nics[number];
    nic->address = get_ip(r);
    nic->prefix = wire_get_u8(r);
    nic->from = wire_get_u8(r);
    nic->gateway = get_ip(r);
    nic->dns[0] = get_ip(r);
    nic->dns[1] = get_ip(r);
    nic->dhcp = get_ip(r);
    nic->vlan = wire_get_le16(r);
    wire_get_copy(r, nic->mac.bytes, sizeof(nic->mac.bytes));
    nic->pci = wire_get_le16(r);
    snprintf(what, sizeof(what), "the host name of card %zu", number);
    get_text(d, r, what, nic->host_name);
}

static void get_target(struct decoder *d, struct wire_reader *r, size_t number)
{
    struct ibft_target *target = &d->ibft->targets[number];
    const struct {
        const char *what;
        char *text;
    } texts[] = {{"the name", target->name},
                 {"the CHAP name", target->user},
                 {"the CHAP secret", target->secret},
                 {"the reverse CHAP name", target->reverse_user},
                 {"the reverse CHAP secret", target->reverse_secret}};
    target->address = get_ip(r);
    target->port = wire_get_le16(r);
    wire_get_copy(r, target->lun, sizeof(target->lun));
    target->chap = wire_get_u8(r);
    target->nic = wire_get_u8(r);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        char what[48];
        snprintf(what, sizeof(what), "%s of target %zu", texts[i].what, number);
        get_text(d, r, what, texts[i].text);
    }
}

struct part {
    const char *what; /* "card %zu" */
    enum ibft_part_id id;
    size_t size;
    void (*get)(struct decoder *d, struct wire_reader *r, size_t number);
};

static const struct part initiator_part = {"the initiator", IBFT_ID_INITIATOR, IBFT_INITIATOR_SIZE,
                                           get_initiator};
static const struct part nic_part = {"card", IBFT_ID_NIC, IBFT_NIC_SIZE, get_nic};
static const struct part target_part = {"target", IBFT_ID_TARGET, IBFT_TARGET_SIZE, get_target};

/* Is the whole structure inside the table? */
static bool is_inside(struct decoder *d, const struct part *part, const char *what, size_t at)
{
    if (at + part->size > d->size) {
        ibft_fault(d->faults, IBFT_ERROR,
                   "%s is said to be at bytes %zu to %zu, behind the table's end at %zu", what, at,
                   at + part->size - 1, d->size);
        return false;
    }
    if (at < IBFT_FIXED_SIZE)
        ibft_fault(d->faults, IBFT_ERROR, "%s is said to be at byte %zu, inside the table's header",
                   what, at);
    if (at % 8)
        ibft_fault(d->faults, IBFT_WARNING, "%s is at byte %zu, not on a multiple of 8", what, at);
    return true;
}

/* As Linux does it: by the id, and only if the length is right. */
static bool is_part(struct decoder *d, const struct part *part, const char *what,
                    struct wire_reader *r)
{
    uint8_t id = wire_get_u8(r), version = wire_get_u8(r);
    uint16_t length = wire_get_le16(r);
    if (id != part->id) {
        ibft_fault(d->faults, IBFT_ERROR, "%s has a structure of kind %u in its place, not %u",
                   what, id, part->id);
        return false;
    }
    if (version != 1)
        ibft_fault(d->faults, IBFT_WARNING, "%s is of version %u, and only 1 is known", what,
                   version);
    if (length != part->size)
        ibft_fault(d->faults, IBFT_ERROR,
                   "%s says that it has %u bytes and not %zu; Linux leaves it out", what, length,
                   part->size);
    return length >= part->size;
}

struct part_start {
    bool *present;
    uint8_t *index, *flags;
};

static void get_part(struct decoder *d, const struct part *part, size_t at, size_t number,
                     struct part_start start)
{
    char what[48];
    if (at == 0)
        return;
    if (part == &initiator_part)
        str_copy(what, sizeof(what), part->what);
    else
        snprintf(what, sizeof(what), "%s %zu", part->what, number);
    if (!is_inside(d, part, what, at))
        return;
    struct wire_reader r = wire_reader_of(d->data + at, part->size);
    if (!is_part(d, part, what, &r))
        return;
    claim(d, at, part->size, false, what);
    *start.present = true;
    *start.index = wire_get_u8(&r);
    *start.flags = wire_get_u8(&r);
    part->get(d, &r, number);
}

static void get_parts(struct decoder *d, struct wire_reader *r)
{
    struct ibft *ibft = d->ibft;
    size_t extensions = wire_get_le16(r);
    if (extensions)
        ibft_fault(d->faults, IBFT_WARNING,
                   "it has extensions (at byte %zu), which are known to nobody", extensions);
    get_part(d, &initiator_part, wire_get_le16(r), 0,
             (struct part_start){&ibft->initiator.present, &ibft->initiator.index,
                                 &ibft->initiator.flags});
    for (size_t i = 0; i < IBFT_PAIRS; i++) {
        struct ibft_nic *nic = &ibft->nics[i];
        struct ibft_target *target = &ibft->targets[i];
        get_part(d, &nic_part, wire_get_le16(r), i,
                 (struct part_start){&nic->present, &nic->index, &nic->flags});
        get_part(d, &target_part, wire_get_le16(r), i,
                 (struct part_start){&target->present, &target->index, &target->flags});
    }
}

static void get_control(struct decoder *d)
{
    struct wire_reader r = wire_reader_of(d->data + IBFT_CONTROL_AT, IBFT_CONTROL_SIZE);
    uint8_t id = wire_get_u8(&r), version = wire_get_u8(&r);
    uint16_t length = wire_get_le16(&r);
    uint8_t index = wire_get_u8(&r);
    d->ibft->control_flags = wire_get_u8(&r);
    if (id != IBFT_ID_CONTROL || length != IBFT_CONTROL_SIZE || index != 0)
        ibft_fault(
            d->faults, IBFT_ERROR,
            "its control structure has kind %u, length %u and index %u instead of %d, %d and "
            "0; Linux ignores the whole table",
            id, length, index, IBFT_ID_CONTROL, IBFT_CONTROL_SIZE);
    if (version != 1)
        ibft_fault(d->faults, IBFT_WARNING,
                   "its control structure is of version %u, and only 1 is "
                   "known",
                   version);
    if (id == IBFT_ID_CONTROL && length >= IBFT_CONTROL_SIZE)
        get_parts(d, &r);
}

/* An identifier that is padded with zeros or spaces. */
static void get_name(struct wire_reader *r, char *text, size_t size)
{
    const uint8_t *bytes = wire_get_bytes(r, size);
    size_t used = 0;
    for (; bytes && used < size && bytes[used]; used++)
        text[used] = (char)(bytes[used] >= ' ' && bytes[used] <= '~' ? bytes[used] : '?');
    text[used] = '\0';
    while (used > 0 && text[used - 1] == ' ')
        text[--used] = '\0';
}

static void check_sum(struct decoder *d)
{
    uint8_t sum = 0;
    for (size_t i = 0; i < d->size; i++)
        sum = (uint8_t)(sum + d->data[i]);
    if (sum != 0)
        ibft_fault(d->faults, IBFT_ERROR,
                   "its checksum is wrong: the bytes add up to 0x%02x and not to 0; Linux ignores "
                   "the whole table",
                   sum);
}

static int get_header(struct decoder *d, size_t size, struct error *ret_error)
{
    struct ibft *ibft = d->ibft;
    struct wire_reader r = wire_reader_of(d->data, size);
    if (!ibft_has_signature(d->data, size))
        return error_set(ret_error, -EBADMSG, "this does not begin with 'iBFT'");
    get_name(&r, ibft->signature, 4);
    ibft->length = wire_get_le32(&r);
    ibft->revision = wire_get_u8(&r);
    wire_skip(&r, 1); /* checksum */
    get_name(&r, ibft->oem_id, 6);
    get_name(&r, ibft->oem_table_id, 8);
    d->size = MIN(size, ibft->length);
    if (!wire_reader_ok(&r) || d->size < IBFT_FIXED_SIZE)
        return error_set(
            ret_error, -EBADMSG,
            "the table has %zu bytes and says that it has %u; its header alone needs %d", size,
            ibft->length, IBFT_FIXED_SIZE);
    if (ibft->length > size)
        ibft_fault(d->faults, IBFT_ERROR, "it says that it has %u bytes, and there are only %zu",
                   ibft->length, size);
    if (ibft->length > IBFT_MAX_SIZE)
        ibft_fault(d->faults, IBFT_WARNING, "it has %u bytes, more than its offsets can reach",
                   ibft->length);
    if (ibft->revision != 1)
        ibft_fault(d->faults, IBFT_ERROR,
                   "it is of revision %u and not 1; Linux ignores the whole table", ibft->revision);
    return 0;
}

int ibft_decode(const void *data, size_t size, struct ibft *ret_ibft, struct ibft_faults *faults,
                struct error *ret_error)
{
    struct ibft ibft = {0};
    struct decoder d = {.data = data, .ibft = &ibft, .faults = faults};
    int r = get_header(&d, size, ret_error);
    if (r < 0)
        return r;
    check_sum(&d);
    claim(&d, 0, IBFT_FIXED_SIZE, false, "the table's header");
    get_control(&d);
    ibft_check(&ibft, faults);
    *ret_ibft = ibft;
    return 0;
}
