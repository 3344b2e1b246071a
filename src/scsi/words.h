/* Numbers of SCSI in words, for people. Pure. */
#pragma once

#include "core/util.h"

#define SCSI_WORDS_SIZE 96

/* "READ(16)"; of one that is not in the table: "command a1h". */
const char *scsi_opcode_words(uint8_t opcode, char text[static SCSI_WORDS_SIZE]);
/* Sense key, additional sense code and qualifier as one number (enum scsi_sense): "medium error:
 * unrecovered read error"; of a code that is not in the table: "medium error: 11h/05h". */
const char *scsi_sense_words(uint32_t sense, char text[static SCSI_WORDS_SIZE]);
/* The same number from sense data of either format (SPC-4 4.5); 0 if there is none. */
uint32_t scsi_sense_code(const uint8_t *sense, size_t size);
