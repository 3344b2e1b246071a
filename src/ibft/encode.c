/* Writes a table as iPXE lays it out: header, control, initiator, cards and targets, then texts. */
#include "ibft/ibft.h"
#include "ibft/layout.h"

#include "core/wire.h"

#include <errno.h>

struct encoder {
    struct wire_writer parts; /* as far as where the texts begin */
    struct wire_writer texts;
    uint8_t *start;
};

static void align(struct wire_writer *w)
{
    wire_put_zeros(w, -wire_writer_used(w) % IBFT_ALIGNMENT);
}

/* Length and offset, and the text itself. */
static void put_text(struct encoder *e, const char *text)
{
    size_t length = strlen(text);
    if (length == 0) {
        wire_put_zeros(&e->parts, 4);
        return;
    }
    wire_put_le16(&e->parts, (uint16_t)length);
    wire_put_le16(&e->parts, (uint16_t)(e->texts.pos - e->start));
    wire_put_bytes(&e->texts, text, length + 1);
}

static void put_ip(struct encoder *e, const struct ibft_ip *ip)
{
    wire_put_bytes(&e->parts, ip->bytes, sizeof(ip->bytes));
}

static void put_part_header(struct encoder *e, enum ibft_part_id id, size_t size, uint8_t index,
                            uint8_t flags)
{
    wire_put_u8(&e->parts, (uint8_t)id);
    wire_put_u8(&e->parts, 1);
    wire_put_le16(&e->parts, (uint16_t)size);
    wire_put_u8(&e->parts, index);
    wire_put_u8(&e->parts, flags);
}

static void put_initiator(struct encoder *e, const struct ibft_initiator *initiator)
{
    if (!initiator->present)
        return;
    put_part_header(e, IBFT_ID_INITIATOR, IBFT_INITIATOR_SIZE, initiator->index, initiator->flags);
    for (size_t i = 0; i < IBFT_ADDRESSES; i++)
        put_ip(e, &initiator->servers[i]);
    put_text(e, initiator->name);
    align(&e->parts);
}

static void put_nic(struct encoder *e, const struct ibft_nic *nic)
{
    if (!nic->present)
        return;
    put_part_header(e, IBFT_ID_NIC, IBFT_NIC_SIZE, nic->index, nic->flags);
    put_ip(e, &nic->address);
    wire_put_u8(&e->parts, nic->prefix);
    wire_put_u8(&e->parts, nic->from);
    put_ip(e, &nic->gateway);
    put_ip(e, &nic->dns[0]);
    put_ip(e, &nic->dns[1]);
    put_ip(e, &nic->dhcp);
    wire_put_le16(&e->parts, nic->vlan);
    wire_put_bytes(&e->parts, nic->mac.bytes, sizeof(nic->mac.bytes));
    wire_put_le16(&e->parts, nic->pci);
    put_text(e, nic->host_name);
    align(&e->parts);
}

static void put_target(struct encoder *e, const struct ibft_target *target)
{
    if (!target->present)
        return;
    put_part_header(e, IBFT_ID_TARGET, IBFT_TARGET_SIZE, target->index, target->flags);
    put_ip(e, &target->address);
    wire_put_le16(&e->parts, target->port);
    wire_put_bytes(&e->parts, target->lun, sizeof(target->lun));
    wire_put_u8(&e->parts, target->chap);
    wire_put_u8(&e->parts, target->nic);
    put_text(e, target->name);
    put_text(e, target->user);
    put_text(e, target->secret);
    put_text(e, target->reverse_user);
    put_text(e, target->reverse_secret);
    align(&e->parts);
}

static size_t aligned(size_t size)
{
    return size + -size % IBFT_ALIGNMENT;
}

/* Where each structure comes to be; the end of the last one. */
static size_t put_control(struct encoder *e, const struct ibft *ibft)
{
    size_t at = aligned(IBFT_FIXED_SIZE);
    put_part_header(e, IBFT_ID_CONTROL, IBFT_CONTROL_SIZE, 0, ibft->control_flags);
    wire_put_zeros(&e->parts, 2); /* extensions */
    wire_put_le16(&e->parts, ibft->initiator.present ? (uint16_t)at : 0);
    at += ibft->initiator.present ? aligned(IBFT_INITIATOR_SIZE) : 0;
    for (size_t i = 0; i < IBFT_PAIRS; i++) {
        wire_put_le16(&e->parts, ibft->nics[i].present ? (uint16_t)at : 0);
        at += ibft->nics[i].present ? aligned(IBFT_NIC_SIZE) : 0;
        wire_put_le16(&e->parts, ibft->targets[i].present ? (uint16_t)at : 0);
        at += ibft->targets[i].present ? aligned(IBFT_TARGET_SIZE) : 0;
    }
    align(&e->parts);
    return at;
}

/* The length and the checksum come at the end. */
static void put_header(struct encoder *e, const struct ibft *ibft)
{
    wire_put_padded(&e->parts, ibft->signature[0] ? ibft->signature : "iBFT", 4, ' ');
    wire_put_le32(&e->parts, 0);
    wire_put_u8(&e->parts, ibft->revision);
    wire_put_u8(&e->parts, 0);
    wire_put_padded(&e->parts, ibft->oem_id, 6, '\0');
    wire_put_padded(&e->parts, ibft->oem_table_id, 8, '\0');
    wire_put_zeros(&e->parts, IBFT_HEADER_SIZE - wire_writer_used(&e->parts));
}

static void finish(uint8_t *table, size_t size)
{
    struct wire_writer w = wire_writer_of(table + 4, 4);
    uint8_t sum = 0;
    wire_put_le32(&w, (uint32_t)size);
    for (size_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + table[i]);
    table[IBFT_CHECKSUM_AT] = (uint8_t)-sum;
}

int ibft_encode(const struct ibft *ibft, uint8_t *buffer, size_t size, size_t *ret_size)
{
    struct encoder e = {.parts = wire_writer_of(buffer, MIN(size, IBFT_MAX_SIZE)), .start = buffer};
    put_header(&e, ibft);
    size_t texts_at = put_control(&e, ibft);
    if (!wire_writer_ok(&e.parts) || texts_at > MIN(size, IBFT_MAX_SIZE))
        return -ENOSPC;
    e.texts = wire_writer_of(buffer + texts_at, MIN(size, IBFT_MAX_SIZE) - texts_at);
    put_initiator(&e, &ibft->initiator);
    for (size_t i = 0; i < IBFT_PAIRS; i++) {
        put_nic(&e, &ibft->nics[i]);
        put_target(&e, &ibft->targets[i]);
    }
    if (!wire_writer_ok(&e.parts) || !wire_writer_ok(&e.texts))
        return -ENOSPC;
    *ret_size = texts_at + wire_writer_used(&e.texts);
    finish(buffer, *ret_size);
    return 0;
}
