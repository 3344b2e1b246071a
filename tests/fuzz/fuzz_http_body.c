/* JSON bodies of the admin API. The first byte chooses which. */
#include "http/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int r, const struct error *error)
{
    if (r < 0 && (error->code != r || error->text[0] == '\0'))
        abort(); /* every refusal has a sentence */
}

static void try_node(const char *text, size_t size, struct body *body)
{
    struct error error = {0};
    struct body_node node;
    const struct mac_address *macs;
    const struct catalog_path *paths;
    char image[64];
    uint32_t number;
    struct wake_password password;
    int r = body_read_node(text, size, body, &node, &error);
    check(r, &error);
    if (r < 0)
        return;
    check(body_parse_macs(body, &node.macs, &macs, &error), &error);
    check(body_parse_paths(body, &node.paths, &paths, &error), &error);
    check(body_parse_address(&node.address, &number, &error), &error);
    check(body_parse_wake_password(&node.wake_password, &password, &error), &error);
    if (node.image.given)
        check(body_parse_image_reference(node.image.text, image, &number, &error), &error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {0};
    struct body body = {0};
    struct body_volume volume;
    struct body_volume_change change;
    struct chap_credentials chap;
    struct body_image image;
    struct body_image_change image_change;
    struct body_verification verification;
    struct body_group group;
    struct body_group_change group_change;
    struct body_boot_rule rule;
    struct body_text fetch;
    struct body_boot_entry entry;
    struct body_attachment attachment;
    struct body_hold hold;
    struct body_change overlay;
    struct body_snapshot snapshot;
    struct body_fold fold;
    struct body_wake wake;
    struct body_adoption adoption;
    struct body_bmc bmc;
    struct body_power power;
    if (size == 0)
        return 0;
    const char *text = (const char *)data + 1;
    switch (data[0]) {
    case 'v':
        check(body_read_volume(text, size - 1, &body, &volume, &error), &error);
        break;
    case 'c':
        check(body_read_volume_change(text, size - 1, &body, &change, &error), &error);
        if (error.code == 0)
            check(body_parse_chap(&change.credentials, &chap, &error), &error);
        break;
    case 'i':
        check(body_read_image(text, size - 1, &body, &image, &error), &error);
        break;
    case 'I':
        check(body_read_image_change(text, size - 1, &body, &image_change, &error), &error);
        break;
    case 'V':
        check(body_read_verification(text, size - 1, &body, &verification, &error), &error);
        break;
    case 'g':
        check(body_read_group(text, size - 1, &body, &group, &error), &error);
        break;
    case 'G':
        check(body_read_group_change(text, size - 1, &body, &group_change, &error), &error);
        break;
    case 'r':
        check(body_read_boot_rule(text, size - 1, &body, &rule, &error), &error);
        break;
    case 'E':
        check(body_read_boot_entry(text, size - 1, &body, &entry, &error), &error);
        break;
    case 'F':
        check(body_read_fetch(text, size - 1, &body, &fetch, &error), &error);
        break;
    case 'a':
        check(body_read_attachment(text, size - 1, &body, &attachment, &error), &error);
        break;
    case 'h':
        check(body_read_hold(text, size - 1, &body, &hold, &error), &error);
        break;
    case 'o':
        check(body_read_change(text, size - 1, &body, &overlay, &error), &error);
        break;
    case 's':
        check(body_read_snapshot(text, size - 1, &body, &snapshot, &error), &error);
        break;
    case 'C':
        check(body_read_commit(text, size - 1, &body, &fold, &error), &error);
        break;
    case 'A':
        check(body_read_adoption(text, size - 1, &body, &adoption, &error), &error);
        break;
    case 'w':
        check(body_read_wake(text, size - 1, &body, &wake, &error), &error);
        break;
    case 'B':
        check(body_read_bmc(text, size - 1, &body, &bmc, &error), &error);
        break;
    case 'P':
        check(body_read_power(text, size - 1, &body, &power, &error), &error);
        break;
    case 'e':
        check(body_read_export(text, size - 1, &body, &fold, &error), &error);
        break;
    default:
        try_node(text, size - 1, &body);
    }
    body_free(&body);
    return 0;
}
