#include "server/discovery_chap.h"

int discovery_chap_read(const struct config *config, struct chap_credentials *ret_credentials,
                        struct error *ret_error)
{
    const struct discovery_chap *files = &config->discovery_chap;
    cleanup_chap_credentials struct chap_credentials c = {.mode = CHAP_NONE};
    int r = 0;
    if (files->user[0]) {
        c.mode = CHAP_ONE_WAY;
        r = credentials_read(files->user, files->secret_file, &c.initiator, ret_error);
    }
    if (r >= 0 && files->target_user[0]) {
        c.mode = CHAP_MUTUAL;
        r = credentials_read(files->target_user, files->target_secret_file, &c.target, ret_error);
    }
    if (r >= 0)
        r = chap_credentials_check(&c, ret_error);
    if (r < 0)
        return error_prefix(ret_error, "[iscsi] discovery-chap");
    *ret_credentials = c;
    return 0;
}
