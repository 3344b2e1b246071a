/* What a node cannot have whose disk is a LUN of a target elsewhere, because it logs in there only.
 */
#include "registry/operation.h"

#include <errno.h>

struct misfit {
    const char *sql; /* node, volume */
    const char *advice;
};

#define OF_NODES                                                                                   \
    "SELECT n.name, v.name FROM nodes n JOIN volumes v ON v.id = n.volume_id"                      \
    " WHERE v.kind = 'iscsi' AND (n.id = ?1 OR v.id = ?2) AND n.id IN"

static const struct misfit misfits[] = {
    {OF_NODES " (SELECT node_id FROM node_chap)",
     "the node's own CHAP is not asked for there; take it away (nodisk node set NODE --chap none) "
     "and give what is asked for to the volume: nodisk volume set VOLUME --chap-user NAME "
     "--chap-secret-file PATH"},
    {OF_NODES " (SELECT node_id FROM attachments)",
     "it sees no data volumes of this server there; detach them: nodisk volume detach"},
};

static int check_misfit(struct db *db, const struct misfit *misfit, int64_t node_id,
                        int64_t volume_id, struct error *ret_error)
{
    sqlite3_stmt *rows =
        db_start(db, misfit->sql, DB_VALUES(db_int(node_id), db_int(volume_id)), ret_error);
    if (!rows)
        return ret_error->code;
    int r = db_next(db, rows, ret_error);
    if (r <= 0)
        return r;
    r = error_set(ret_error, -EINVAL,
                  "the disk of node '%s' is a LUN of a target elsewhere (volume '%s'), and %s",
                  db_column_text(rows, 0), db_column_text(rows, 1), misfit->advice);
    db_end(rows);
    return r;
}

int elsewhere_check(struct db *db, int64_t node_id, int64_t volume_id, struct error *ret_error)
{
    int r = 0;
    for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(misfits); i++)
        r = check_misfit(db, &misfits[i], node_id, volume_id, ret_error);
    return r;
}
