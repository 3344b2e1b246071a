/* Labels of image versions: what their owner wants to remember of them. */
#include "registry/operation.h"

#include <errno.h>

static bool is_value(const char *text)
{
    size_t n = 0;
    for (; text[n]; n++)
        if ((unsigned char)text[n] < ' ' || text[n] == 0x7f)
            return false;
    return n <= REGISTRY_MAX_LABEL_VALUE;
}

static int check_label(const struct catalog_label *label, struct error *ret_error)
{
    if (!name_is_object(label->key))
        return error_set(ret_error, -EINVAL,
                         "'%.80s' cannot be a label: use lower case letters, digits, . and -, at "
                         "most %d",
                         label->key, NAME_MAX_LEN);
    if (label->value && !is_value(label->value))
        return error_set(ret_error, -EINVAL,
                         "the value of label '%s' has control characters or more than %d bytes",
                         label->key, REGISTRY_MAX_LABEL_VALUE);
    return 0;
}

int labels_check(const struct catalog_label *labels, size_t n_labels, struct error *ret_error)
{
    int r = 0;
    for (size_t i = 0; r >= 0 && i < n_labels; i++)
        r = check_label(&labels[i], ret_error);
    return r;
}

static int store_label(struct db *db, int64_t version_id, const struct catalog_label *label,
                       struct error *ret_error)
{
    if (!label->value)
        return db_change(db, "DELETE FROM image_labels WHERE version_id = ? AND key = ?",
                         DB_VALUES(db_int(version_id), db_text(label->key)), ret_error);
    return db_change(db,
                     "INSERT INTO image_labels (version_id, key, value) VALUES (?1, ?2, ?3)"
                     " ON CONFLICT DO UPDATE SET value = ?3",
                     DB_VALUES(db_int(version_id), db_text(label->key), db_text(label->value)),
                     ret_error);
}

int labels_store(struct db *db, int64_t version_id, const struct catalog_label *labels,
                 size_t n_labels, struct error *ret_error)
{
    int64_t count = 0;
    int r = 0;
    for (size_t i = 0; r >= 0 && i < n_labels; i++)
        r = store_label(db, version_id, &labels[i], ret_error);
    if (r >= 0)
        r = db_lookup(db, "SELECT count(*) FROM image_labels WHERE version_id = ?",
                      DB_VALUES(db_int(version_id)), &count, ret_error);
    if (r < 0)
        return r;
    return count <= REGISTRY_MAX_LABELS
               ? 0
               : error_set(ret_error, -E2BIG, "a version can have %d labels at most",
                           REGISTRY_MAX_LABELS);
}
