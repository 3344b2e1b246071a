/* What the files of a session share: load_login.c, load_send.c, load_receive.c, load_session.c. */
#pragma once

#include "load.h"

enum {
    SAM_GOOD = 0x00,
    SAM_CHECK_CONDITION = 0x02,
};

/* load_send.c. The data stay where they are until they have left. */
void session_send_pdu(struct session *session, uint8_t bhs[static ISCSI_BHS_SIZE],
                      const uint8_t *data, uint32_t length);
void session_flush(struct session *session);
/* A command for `task` (its number in the session); the CDB is put by the caller. */
void session_begin_command(struct session *session, unsigned task, uint8_t flags, uint32_t length,
                           uint8_t bhs[static ISCSI_BHS_SIZE]);
/* Data-Out PDUs for [from, from + length) of a write. */
void session_send_data_out(struct session *session, unsigned number, uint32_t ttt, uint32_t from,
                           uint32_t length);

/* load_login.c */
void session_finish_connect(struct session *session);
void session_handle_login(struct session *session);
/* One of the first commands has ended. */
void session_handle_check(struct session *session, uint8_t status);
void session_handle_logout(struct session *session);
const char *session_sense_text(const struct session *session, char buffer[static 64]);

/* load_session.c */
/* Of the PDU that is being received; it must be there. */
struct task *session_task(struct session *session, unsigned *ret_number);
/* May this PDU come now? */
bool session_expects_pdu(const struct session *session);
void session_end_pdu(struct session *session);
