/*
 * Words are those of the CLI. Text where a person with the sqlite3 shell would want to read it
 * (MAC and IPv4 addresses, states); paths of files in the state directory are relative to it; times
 * are microseconds since 1970; ids are never used again (AUTOINCREMENT), since sessions and
 * messages on their way name things by id.
 */
#include "registry/schema.h"

#include <errno.h>

static const char version_1[] =
    "CREATE TABLE groups ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  name TEXT NOT NULL UNIQUE,"
    "  created_at INTEGER NOT NULL"
    ") STRICT;"

    /* last_version outlives the versions: a removed one's number is never given again */
    "CREATE TABLE images ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  name TEXT NOT NULL UNIQUE,"
    "  last_version INTEGER NOT NULL DEFAULT 0"
    ") STRICT;"

    "CREATE TABLE image_versions ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  image_id INTEGER NOT NULL REFERENCES images(id),"
    "  version INTEGER NOT NULL CHECK (version > 0),"
    "  state TEXT NOT NULL CHECK (state IN ('importing', 'ready', 'removing')),"
    "  path TEXT NOT NULL UNIQUE,"
    "  size INTEGER NOT NULL,"
    "  created_at INTEGER NOT NULL,"
    "  UNIQUE (image_id, version)"
    ") STRICT;"

    /* owned: the file is in the state directory and goes when the volume goes */
    "CREATE TABLE volumes ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  name TEXT NOT NULL UNIQUE,"
    "  kind TEXT NOT NULL CHECK (kind IN ('file', 'device')),"
    "  state TEXT NOT NULL CHECK (state IN ('creating', 'ready', 'failed', 'removing')),"
    "  failure TEXT,"
    "  path TEXT NOT NULL UNIQUE,"
    "  owned INTEGER NOT NULL CHECK (owned IN (0, 1)),"
    "  size INTEGER NOT NULL,"
    "  block_size INTEGER NOT NULL CHECK (block_size IN (512, 4096)),"
    "  read_only INTEGER NOT NULL CHECK (read_only IN (0, 1)),"
    "  allow_any INTEGER NOT NULL CHECK (allow_any IN (0, 1)),"
    "  serial BLOB NOT NULL UNIQUE CHECK (length(serial) = 16),"
    "  image TEXT,"
    "  created_at INTEGER NOT NULL"
    ") STRICT;"

    "CREATE TABLE volume_allow ("
    "  volume_id INTEGER NOT NULL REFERENCES volumes(id) ON DELETE CASCADE,"
    "  initiator TEXT NOT NULL,"
    "  PRIMARY KEY (volume_id, initiator)"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE nodes ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  name TEXT NOT NULL UNIQUE,"
    "  group_id INTEGER REFERENCES groups(id),"
    "  address TEXT UNIQUE,"
    "  volume_id INTEGER REFERENCES volumes(id),"
    "  created_at INTEGER NOT NULL"
    ") STRICT;"
    "CREATE INDEX nodes_by_group ON nodes(group_id);"
    "CREATE INDEX nodes_by_volume ON nodes(volume_id);"

    "CREATE TABLE node_macs ("
    "  mac TEXT PRIMARY KEY,"
    "  node_id INTEGER NOT NULL REFERENCES nodes(id) ON DELETE CASCADE,"
    "  position INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX node_macs_by_node ON node_macs(node_id);"

    "CREATE TABLE leases ("
    "  address TEXT PRIMARY KEY,"
    "  mac TEXT NOT NULL,"
    "  client_id BLOB NOT NULL,"
    "  host_name TEXT NOT NULL,"
    "  node_id INTEGER REFERENCES nodes(id) ON DELETE SET NULL,"
    "  subnet TEXT NOT NULL,"
    "  state TEXT NOT NULL,"
    "  expires_at INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX leases_by_node ON leases(node_id);"

    "CREATE TABLE boots ("
    "  id INTEGER PRIMARY KEY,"
    "  node_id INTEGER NOT NULL REFERENCES nodes(id) ON DELETE CASCADE,"
    "  mac TEXT NOT NULL,"
    "  started_at INTEGER NOT NULL"
    ") STRICT;"
    "CREATE INDEX boots_by_node ON boots(node_id, id);"

    "CREATE TABLE boot_stages ("
    "  boot_id INTEGER NOT NULL REFERENCES boots(id) ON DELETE CASCADE,"
    "  position INTEGER NOT NULL,"
    "  stage TEXT NOT NULL,"
    "  reached_at INTEGER NOT NULL,"
    "  detail TEXT NOT NULL,"
    "  PRIMARY KEY (boot_id, position)"
    ") STRICT, WITHOUT ROWID;";

/* LUN 0 of a node is nodes.volume_id */
static const char version_attachments[] =
    "CREATE TABLE attachments ("
    "  node_id INTEGER NOT NULL REFERENCES nodes(id) ON DELETE CASCADE,"
    "  lun INTEGER NOT NULL CHECK (lun BETWEEN 1 AND 255),"
    "  volume_id INTEGER NOT NULL REFERENCES volumes(id),"
    "  PRIMARY KEY (node_id, lun),"
    "  UNIQUE (node_id, volume_id)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX attachments_by_volume ON attachments(volume_id);";

/* Without target_user and target_secret only the initiator proves who it is. */
static const char version_chap[] =
    "CREATE TABLE node_chap ("
    "  node_id INTEGER PRIMARY KEY REFERENCES nodes(id) ON DELETE CASCADE,"
    "  user TEXT NOT NULL,"
    "  secret TEXT NOT NULL,"
    "  target_user TEXT,"
    "  target_secret TEXT,"
    "  CHECK ((target_user IS NULL) = (target_secret IS NULL))"
    ") STRICT;"
    "CREATE TABLE volume_chap ("
    "  volume_id INTEGER PRIMARY KEY REFERENCES volumes(id) ON DELETE CASCADE,"
    "  user TEXT NOT NULL,"
    "  secret TEXT NOT NULL,"
    "  target_user TEXT,"
    "  target_secret TEXT,"
    "  CHECK ((target_user IS NULL) = (target_secret IS NULL))"
    ") STRICT;";

static const char version_thick[] = "ALTER TABLE volumes ADD COLUMN"
                                    "  thick INTEGER NOT NULL DEFAULT 0 CHECK (thick IN (0, 1));";

static const char version_removable[] =
    "ALTER TABLE volumes ADD COLUMN"
    "  removable INTEGER NOT NULL DEFAULT 0 CHECK (removable IN (0, 1));";

/* Of those volumes whose persistent reservations are to survive a restart. isid and key:
 * hexadecimal; reservation: the type of that which it holds, or 0 */
static const char version_registrations[] =
    "CREATE TABLE registrations ("
    "  volume_id INTEGER NOT NULL REFERENCES volumes(id) ON DELETE CASCADE,"
    "  position INTEGER NOT NULL,"
    "  initiator TEXT NOT NULL,"
    "  isid TEXT NOT NULL CHECK (length(isid) = 12 AND isid NOT GLOB '*[^0-9a-f]*'),"
    "  target TEXT NOT NULL,"
    "  key TEXT NOT NULL CHECK (length(key) = 16 AND key NOT GLOB '*[^0-9a-f]*'),"
    "  all_target_ports INTEGER NOT NULL CHECK (all_target_ports IN (0, 1)),"
    "  reservation INTEGER NOT NULL CHECK (reservation IN (0, 1, 3, 5, 6, 7, 8)),"
    "  PRIMARY KEY (volume_id, position),"
    "  UNIQUE (volume_id, initiator, isid, target)"
    ") STRICT, WITHOUT ROWID;";

/* identity: what refers to a version for good (a header on disk) knows it by. The others are not
 * known of versions that were imported before. sha256: hexadecimal, of the whole content; source:
 * the name of the file that it was imported from; format: that file's */
static const char version_image_identity[] =
    "ALTER TABLE image_versions ADD COLUMN identity BLOB CHECK (length(identity) = 16);"
    "UPDATE image_versions SET identity = randomblob(16);"
    "CREATE UNIQUE INDEX image_versions_by_identity ON image_versions(identity);"
    "ALTER TABLE image_versions ADD COLUMN sha256 TEXT"
    "  CHECK (length(sha256) = 64 AND sha256 NOT GLOB '*[^0-9a-f]*');"
    "ALTER TABLE image_versions ADD COLUMN source TEXT;"
    "ALTER TABLE image_versions ADD COLUMN format TEXT;"
    "CREATE TABLE image_labels ("
    "  version_id INTEGER NOT NULL REFERENCES image_versions(id) ON DELETE CASCADE,"
    "  key TEXT NOT NULL,"
    "  value TEXT NOT NULL,"
    "  PRIMARY KEY (version_id, key)"
    ") STRICT, WITHOUT ROWID;";

/* What a volume may be made of: a constraint that was too narrow from the start. SQLite has no
 * statement to change one; its manual gives this for constraints that every row fulfils already. */
static const char version_kinds[] =
    "PRAGMA writable_schema = ON;"
    "UPDATE sqlite_schema SET sql = replace(sql, 'CHECK (kind IN (''file'', ''device''))',"
    " 'CHECK (kind IN (''file'', ''device'', ''overlay'', ''nbd'', ''iscsi''))')"
    " WHERE type = 'table' AND name = 'volumes';"
    "PRAGMA writable_schema = RESET;";

/* Overlays. What was written to one is in layers, each over another one, over an image version, or
 * over nothing; their files are layers/ID. layer_id: the top, which is written to. follows: a reset
 * takes the latest version. staged: what is done when its node boots; changed_boot: the last boot
 * at which anything was. fence_boot: boots up to that one knew the disk as it was before it was
 * changed, and must not go on with it. merging: what is in it is being put into the one above. A
 * layer that is not needed any more is 'removing' until its files are gone. kernel: which run of
 * the server's kernel a boot began in. */
static const char version_layers[] =
    "CREATE TABLE layers ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  identity BLOB NOT NULL UNIQUE CHECK (length(identity) = 16),"
    "  volume_id INTEGER NOT NULL REFERENCES volumes(id),"
    "  below_id INTEGER REFERENCES layers(id),"
    "  image_version_id INTEGER REFERENCES image_versions(id),"
    "  size INTEGER NOT NULL,"
    "  state TEXT NOT NULL CHECK (state IN ('new', 'made', 'removing')),"
    "  merging INTEGER NOT NULL DEFAULT 0 CHECK (merging IN (0, 1)),"
    "  created_at INTEGER NOT NULL,"
    "  CHECK (below_id IS NULL OR image_version_id IS NULL)"
    ") STRICT;"
    "CREATE INDEX layers_by_volume ON layers(volume_id);"
    "CREATE INDEX layers_by_below ON layers(below_id);"
    "CREATE INDEX layers_by_image_version ON layers(image_version_id);"
    "CREATE TABLE snapshots ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  volume_id INTEGER NOT NULL REFERENCES volumes(id),"
    "  name TEXT NOT NULL,"
    "  layer_id INTEGER NOT NULL UNIQUE REFERENCES layers(id),"
    "  created_at INTEGER NOT NULL,"
    "  UNIQUE (volume_id, name)"
    ") STRICT;"
    "ALTER TABLE volumes ADD COLUMN layer_id INTEGER REFERENCES layers(id);"
    "ALTER TABLE volumes ADD COLUMN"
    "  follows INTEGER NOT NULL DEFAULT 0 CHECK (follows IN (0, 1));"
    "ALTER TABLE volumes ADD COLUMN"
    "  ephemeral INTEGER NOT NULL DEFAULT 0 CHECK (ephemeral IN (0, 1));"
    "ALTER TABLE volumes ADD COLUMN"
    "  staged TEXT CHECK (staged IN ('reset', 'rollback', 'rebase'));"
    "ALTER TABLE volumes ADD COLUMN staged_argument TEXT;"
    "ALTER TABLE volumes ADD COLUMN changed_boot INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE volumes ADD COLUMN fence_boot INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE boots ADD COLUMN kernel TEXT NOT NULL DEFAULT '';";

/* What the cards of a node want to be told before they wake it. */
static const char version_wake[] =
    "CREATE TABLE node_wake ("
    "  node_id INTEGER PRIMARY KEY REFERENCES nodes(id) ON DELETE CASCADE,"
    "  password TEXT NOT NULL"
    ") STRICT;";

/* DHCP options of nodes and groups, as they were given: "mtu=9000". */
static const char version_options[] =
    "CREATE TABLE node_options ("
    "  node_id INTEGER NOT NULL REFERENCES nodes(id) ON DELETE CASCADE,"
    "  code INTEGER NOT NULL CHECK (code BETWEEN 1 AND 254),"
    "  setting TEXT NOT NULL,"
    "  PRIMARY KEY (node_id, code)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE group_options ("
    "  group_id INTEGER NOT NULL REFERENCES groups(id) ON DELETE CASCADE,"
    "  code INTEGER NOT NULL CHECK (code BETWEEN 1 AND 254),"
    "  setting TEXT NOT NULL,"
    "  PRIMARY KEY (group_id, code)"
    ") STRICT, WITHOUT ROWID;";

/* Machines that are no nodes and wait to become some. What they say of themselves is text of
 * theirs, cleaned. */
static const char version_pending[] = "CREATE TABLE pending ("
                                      "  mac TEXT PRIMARY KEY,"
                                      "  address TEXT NOT NULL,"
                                      "  subnet TEXT NOT NULL,"
                                      "  circuit_id TEXT NOT NULL,"
                                      "  remote_id TEXT NOT NULL,"
                                      "  uuid TEXT NOT NULL,"
                                      "  manufacturer TEXT NOT NULL,"
                                      "  product TEXT NOT NULL,"
                                      "  serial TEXT NOT NULL,"
                                      "  card TEXT NOT NULL,"
                                      "  architecture TEXT NOT NULL,"
                                      "  firmware TEXT NOT NULL,"
                                      "  memory INTEGER NOT NULL,"
                                      "  first_seen INTEGER NOT NULL,"
                                      "  last_seen INTEGER NOT NULL"
                                      ") STRICT, WITHOUT ROWID;";

/* How a node boots where it differs from its site (core/boot_ways.h). */
static const char version_boot_ways[] =
    "ALTER TABLE nodes ADD COLUMN"
    "  direct TEXT NOT NULL DEFAULT 'default' CHECK (direct IN ('default', 'no', 'yes'));"
    "ALTER TABLE nodes ADD COLUMN ibft_origin TEXT NOT NULL DEFAULT 'default'"
    "  CHECK (ibft_origin IN ('default', 'manual', 'dhcp'));";

/* Where logins may come from, as source_parse() takes it. A volume without any is bound to none. */
static const char version_sources[] =
    "CREATE TABLE volume_allow_from ("
    "  volume_id INTEGER NOT NULL REFERENCES volumes(id) ON DELETE CASCADE,"
    "  source TEXT NOT NULL,"
    "  PRIMARY KEY (volume_id, source)"
    ") STRICT, WITHOUT ROWID;";

/* Further cards of nodes, with addresses of their own. */
static const char version_node_paths[] =
    "CREATE TABLE node_paths ("
    "  node_id INTEGER NOT NULL REFERENCES nodes(id) ON DELETE CASCADE,"
    "  mac TEXT NOT NULL,"
    "  address TEXT NOT NULL UNIQUE,"
    "  PRIMARY KEY (node_id, mac)"
    ") STRICT, WITHOUT ROWID;";

/* What switches a node's power, and what is to be proven there. */
static const char version_node_bmc[] =
    "CREATE TABLE node_bmc ("
    "  node_id INTEGER PRIMARY KEY REFERENCES nodes(id) ON DELETE CASCADE,"
    "  address TEXT NOT NULL,"
    "  user TEXT NOT NULL,"
    "  password TEXT NOT NULL"
    ") STRICT;";

/* What machines boot: a rule is of a node, of a group, or (neither) of the site. until: NULL for
 * ever; times: boots that have not had it yet, NULL if it is not counted; boot_id: the boot that
 * had it last. */
static const char version_boot_rules[] =
    "CREATE TABLE boot_entries ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  name TEXT NOT NULL UNIQUE,"
    "  title TEXT NOT NULL,"
    "  kind TEXT NOT NULL CHECK (kind IN ('live', 'script')),"
    "  file TEXT NOT NULL,"
    "  arguments TEXT NOT NULL,"
    "  created_at INTEGER NOT NULL"
    ") STRICT;"
    "CREATE TABLE boot_entry_initrds ("
    "  entry_id INTEGER NOT NULL REFERENCES boot_entries(id) ON DELETE CASCADE,"
    "  position INTEGER NOT NULL,"
    "  file TEXT NOT NULL,"
    "  PRIMARY KEY (entry_id, position)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE boot_rules ("
    "  id INTEGER PRIMARY KEY,"
    "  node_id INTEGER REFERENCES nodes(id) ON DELETE CASCADE,"
    "  group_id INTEGER REFERENCES groups(id) ON DELETE CASCADE,"
    "  slot TEXT NOT NULL CHECK (slot IN ('temporary', 'standing', 'fallback')),"
    "  target TEXT NOT NULL,"
    "  until INTEGER,"
    "  times INTEGER CHECK (times >= 0),"
    "  boot_id INTEGER NOT NULL DEFAULT 0,"
    "  set_at INTEGER NOT NULL,"
    "  CHECK (node_id IS NULL OR group_id IS NULL)"
    ") STRICT;"
    "CREATE UNIQUE INDEX boot_rules_by_owner"
    "  ON boot_rules(coalesce(node_id, 0), coalesce(group_id, 0), slot);"
    "CREATE INDEX boot_rules_by_node ON boot_rules(node_id);"
    "CREATE INDEX boot_rules_by_group ON boot_rules(group_id);"
    /* failures: boots in a row before this one that came to nothing; tries: it is one of a volume,
       and will be another if it does not come to its initramfs */
    "CREATE TABLE boot_tries ("
    "  boot_id INTEGER PRIMARY KEY REFERENCES boots(id) ON DELETE CASCADE,"
    "  failures INTEGER NOT NULL,"
    "  tries INTEGER NOT NULL CHECK (tries IN (0, 1))"
    ") STRICT;";

/* An entry with an answer is an installer, whose kind here is 'live'. position: of the initrd; -1:
 * of the kernel. */
static const char version_installers[] =
    "CREATE TABLE boot_entry_answers ("
    "  entry_id INTEGER PRIMARY KEY REFERENCES boot_entries(id) ON DELETE CASCADE,"
    "  format TEXT NOT NULL,"
    "  file TEXT NOT NULL"
    ") STRICT;"
    "CREATE TABLE boot_entry_variables ("
    "  entry_id INTEGER NOT NULL REFERENCES boot_entries(id) ON DELETE CASCADE,"
    "  name TEXT NOT NULL,"
    "  value TEXT NOT NULL,"
    "  PRIMARY KEY (entry_id, name)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE boot_entry_digests ("
    "  entry_id INTEGER NOT NULL REFERENCES boot_entries(id) ON DELETE CASCADE,"
    "  position INTEGER NOT NULL,"
    "  sha256 TEXT NOT NULL,"
    "  PRIMARY KEY (entry_id, position)"
    ") STRICT, WITHOUT ROWID;";

/* A fallback that is for other than the site's number of failed boots in a row. */
static const char version_boot_after[] =
    "CREATE TABLE boot_rule_after ("
    "  rule_id INTEGER PRIMARY KEY REFERENCES boot_rules(id) ON DELETE CASCADE,"
    "  failures INTEGER NOT NULL CHECK (failures BETWEEN 1 AND 20)"
    ") STRICT;";

/* A disk that one boot has, or is to have, from a snapshot. boot_id: the boot that is to have
 * `snapshot` (NULL: none); running_boot_id: the one whose disk is `running` now (0: none), while
 * `kept` is the snapshot of what it was before. */
static const char version_trials[] =
    "CREATE TABLE volume_trials ("
    "  volume_id INTEGER PRIMARY KEY REFERENCES volumes(id) ON DELETE CASCADE,"
    "  boot_id INTEGER NOT NULL,"
    "  snapshot TEXT,"
    "  running_boot_id INTEGER NOT NULL DEFAULT 0,"
    "  running TEXT,"
    "  kept TEXT"
    ") STRICT;";
/* CHAP secrets that change at each boot. rotation: where it differs from the site's. node_chap_age:
 * of what is in node_chap; boot_id: the boot that they were made for, 0 for none; seen: a system
 * has logged in with them. node_chap_older: those before that are still accepted. */
static const char version_chap_rotation[] =
    "CREATE TABLE node_chap_rotation ("
    "  node_id INTEGER PRIMARY KEY REFERENCES nodes(id) ON DELETE CASCADE,"
    "  rotation TEXT NOT NULL"
    ") STRICT;"
    "CREATE TABLE node_chap_age ("
    "  node_id INTEGER PRIMARY KEY REFERENCES nodes(id) ON DELETE CASCADE,"
    "  boot_id INTEGER NOT NULL,"
    "  since INTEGER NOT NULL,"
    "  seen INTEGER NOT NULL CHECK (seen IN (0, 1))"
    ") STRICT;"
    "CREATE TABLE node_chap_older ("
    "  node_id INTEGER NOT NULL REFERENCES nodes(id) ON DELETE CASCADE,"
    "  boot_id INTEGER NOT NULL,"
    "  user TEXT NOT NULL,"
    "  secret TEXT NOT NULL,"
    "  target_user TEXT,"
    "  target_secret TEXT,"
    "  seen INTEGER NOT NULL CHECK (seen IN (0, 1)),"
    "  PRIMARY KEY (node_id, boot_id)"
    ") STRICT, WITHOUT ROWID;";

/* Where an entry's files were fetched from. position: as of digests. */
static const char version_entry_urls[] =
    "CREATE TABLE boot_entry_urls ("
    "  entry_id INTEGER NOT NULL REFERENCES boot_entries(id) ON DELETE CASCADE,"
    "  position INTEGER NOT NULL,"
    "  url TEXT NOT NULL,"
    "  PRIMARY KEY (entry_id, position)"
    ") STRICT, WITHOUT ROWID;";

/* migrations[n] brings version n to version n + 1. What was released never changes here. */
static const char *const migrations[] = {
    version_1,          version_attachments,   version_chap,           version_thick,
    version_removable,  version_registrations, version_image_identity, version_kinds,
    version_layers,     version_wake,          version_options,        version_pending,
    version_boot_ways,  version_sources,       version_node_paths,     version_node_bmc,
    version_boot_rules, version_installers,    version_boot_after,     version_trials,
    version_entry_urls, version_chap_rotation,
};

static int check_whole(struct db *db, struct error *ret_error)
{
    sqlite3_stmt *statement = db_start(db, "PRAGMA quick_check(1)", DB_NO_VALUES, ret_error);
    if (!statement)
        return ret_error->code;
    int r = db_next(db, statement, ret_error);
    if (r <= 0)
        return r;
    const char *found = db_column_text(statement, 0);
    if (!str_eq(found, "ok"))
        r = error_set(ret_error, -EUCLEAN,
                      "the registry %s is damaged (%.200s); restore it from a backup, or move it "
                      "away to begin with an empty one",
                      db->path, found);
    db_end(statement);
    return r < 0 ? r : 0;
}

/* Rows that refer to what is not there: left behind by a hand that deleted others. */
static int check_references(struct db *db, struct error *ret_error)
{
    sqlite3_stmt *statement = db_start(db, "PRAGMA foreign_key_check", DB_NO_VALUES, ret_error);
    if (!statement)
        return ret_error->code;
    int r = db_next(db, statement, ret_error);
    if (r <= 0)
        return r;
    r = error_set(ret_error, -EUCLEAN,
                  "the registry %s is damaged (a row of %s refers to one of %s that is not there); "
                  "restore it from a backup, or delete that row",
                  db->path, db_column_text(statement, 0), db_column_text(statement, 2));
    db_end(statement);
    return r;
}

static int migrate(struct db *db, size_t from, struct error *ret_error)
{
    char set_version[64];
    snprintf(set_version, sizeof(set_version), "PRAGMA user_version = %zu", from + 1);
    int r = db_exec(db, "BEGIN IMMEDIATE", ret_error);
    if (r < 0)
        return r;
    r = db_exec(db, migrations[from], ret_error);
    if (r >= 0)
        r = db_exec(db, set_version, ret_error);
    if (r >= 0)
        r = db_exec(db, "COMMIT", ret_error);
    if (r < 0) {
        struct error ignored;
        if (!sqlite3_get_autocommit(db->handle))
            (void)!db_exec(db, "ROLLBACK", &ignored);
        return error_prefix(ret_error, "cannot bring the registry to version %zu", from + 1);
    }
    return 0;
}

int schema_open(struct db *db, const char *path, struct error *ret_error)
{
    int64_t version = 0;
    int r = db_open(db, path, ret_error);
    if (r >= 0)
        r = check_whole(db, ret_error);
    if (r >= 0)
        r = check_references(db, ret_error);
    if (r >= 0)
        r = db_lookup(db, "PRAGMA user_version", DB_NO_VALUES, &version, ret_error);
    if (r < 0)
        return r;
    if (version > (int64_t)ARRAY_SIZE(migrations) || version < 0)
        return error_set(ret_error, -ENOTSUP,
                         "the registry %s was written by a newer nodisk (its version is %lld, this "
                         "program knows %zu); start that program",
                         path, (long long)version, ARRAY_SIZE(migrations));
    for (size_t n = (size_t)version; n < ARRAY_SIZE(migrations); n++) {
        r = migrate(db, n, ret_error);
        if (r < 0)
            return r;
    }
    return 0;
}
