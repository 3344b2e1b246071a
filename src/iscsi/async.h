/*
 * Asking an initiator to leave: Asynchronous Messages (RFC 7143 11.9), to those who bear them. On
 * the session's thread.
 */
#pragma once

#include "core/util.h"

struct iscsi_session;

/* Byte 36 of the message. */
enum iscsi_async_event {
    ISCSI_ASYNC_LOGOUT_REQUEST = 1,
    ISCSI_ASYNC_SESSION_DROPPED = 3, /* all of its connections */
};

/* Asks for a logout within so many seconds, at least 1. Who is still there when they are over is
 * sent away (reason: static, for the log), and so is in the end who could not be asked. Again: the
 * earlier deadline holds. True: it was asked. */
bool iscsi_session_ask_to_leave(struct iscsi_session *session, uint16_t seconds,
                                const char *reason);
/* It may stay after all: takes the deadline back. An initiator that was asked may leave all the
 * same. */
void iscsi_session_let_stay(struct iscsi_session *session);
