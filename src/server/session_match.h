/* Which sessions somebody means: by id, node or volume. */
#pragma once

#include "http/sessions.h"
#include "iscsi/session.h"
#include "registry/catalog.h"

struct session_match {
    const struct catalog *catalog;
    uint64_t id, node_id, volume_id; /* 0: does not matter */
};

/* From names. The catalog must outlive it. -ENOENT: there is no such node or volume. */
int session_match_read(const struct session_filter *filter, const struct catalog *catalog,
                       struct session_match *ret_match, struct error *ret_error) MUST_CHECK;
/* On the session's thread. */
bool session_match_is(const struct session_match *match, const struct iscsi_session *session);
