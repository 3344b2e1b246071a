/*
 * The mode pages: what MODE SENSE tells and MODE SELECT may change (SPC-4 7.5).
 *
 * All nexuses share them. Nothing is saved: a reset of the LU brings the defaults back.
 */
#pragma once

#include "scsi/lu.h"

#define SCSI_MODE_PAGE_SIZE 20 /* of the longest, without its header */

#define SCSI_MODE_SPF 0x40 /* of the first byte: the header is that of a subpage */

struct scsi_mode_page {
    uint8_t code, subpage; /* with a subpage the header has four bytes, else two */
    uint8_t length;        /* of what follows the header */
    uint8_t defaults[SCSI_MODE_PAGE_SIZE];
    uint8_t changeable[SCSI_MODE_PAGE_SIZE]; /* a mask */
    /* What stands in it and is not constant; NULL: nothing. */
    void (*fill)(const struct scsi_lu *lu, const struct scsi_mode_settings *settings,
                 uint8_t *content);
    bool (*applies)(const struct scsi_lu *lu); /* NULL: to every LU */
};

/* NULL: the LU has none such. */
const struct scsi_mode_page *scsi_mode_page_find(const struct scsi_lu *lu, uint8_t code,
                                                 uint8_t subpage);
/* What stands in it with these settings: page->length bytes. */
void scsi_mode_page_write(const struct scsi_mode_page *page, const struct scsi_lu *lu,
                          const struct scsi_mode_settings *settings,
                          uint8_t ret_content[static SCSI_MODE_PAGE_SIZE]);
/* The settings that content asks for. False, and settings as before: it changes what cannot be
 * changed. */
bool scsi_mode_page_read(const struct scsi_mode_page *page, const struct scsi_lu *lu,
                         const uint8_t *content, struct scsi_mode_settings *settings);
