/*
 * The mode pages: what MODE SENSE tells and MODE SELECT may change (SPC-4 7.5).
 *
 * All nexuses share them. Nothing is saved: a reset of the LU brings the defaults back.
 */
#pragma once

#include "scsi/lu.h"

#define SCSI_MODE_PAGE_SIZE 18 /* of the longest, without its header of two bytes */

struct scsi_mode_page {
    uint8_t code;
    uint8_t length; /* of what follows the header */
    uint8_t defaults[SCSI_MODE_PAGE_SIZE];
    uint8_t changeable[SCSI_MODE_PAGE_SIZE]; /* a mask */
};

/* NULL: there is none such. */
const struct scsi_mode_page *scsi_mode_page_find(uint8_t code);
/* What stands in it with these settings: page->length bytes. */
void scsi_mode_page_write(const struct scsi_mode_page *page,
                          const struct scsi_mode_settings *settings,
                          uint8_t ret_content[static SCSI_MODE_PAGE_SIZE]);
/* The settings that content asks for. False, and settings as before: it changes what cannot be
 * changed. */
bool scsi_mode_page_read(const struct scsi_mode_page *page, const uint8_t *content,
                         struct scsi_mode_settings *settings);
