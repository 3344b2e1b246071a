/* A boot firmware table beside what the server intends, or beside what the machine has come to. */
#include "cli/ibft_compare.h"

#include "core/names.h"
#include "ibft/compare.h"

#include <errno.h>

struct other {
    enum ibft_other who;
    char name[NAME_MAX_LEN + 1]; /* of the node; "": this machine */
    struct ibft_view view;
};

/* --- the server's --- */

static void set_from_json(struct ibft_view *view, enum ibft_field field, const json_t *value)
{
    char number[24];
    if (json_is_string(value)) {
        ibft_view_set(view, field, json_string_value(value));
    } else if (json_is_integer(value)) {
        snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
        ibft_view_set(view, field, number);
    } else if (json_is_array(value)) {
        cleanup_free char *joined = cli_join(value);
        ibft_view_set(view, field, joined);
    }
}

static void take_intent(struct other *other, const json_t *json)
{
    const char *name = print_text(json, "node");
    other->who = IBFT_SERVER;
    str_copy(other->name, sizeof(other->name), name ? name : "");
    for (enum ibft_field f = 0; f < IBFT_FIELDS; f++)
        set_from_json(&other->view, f, json_object_get(json, ibft_field_key(f)));
}

static bool has_card(const struct ibft *ibft)
{
    static const struct mac_address none;
    const struct ibft_nic *nic = ibft_boot_nic(ibft);
    return nic && !mac_eq(nic->mac, none) && !(nic->mac.bytes[0] & 1);
}

/* By its name, or by the card of the table, which is asked for in either case. */
static char *intent_path(const struct ibft *ibft, const char *node)
{
    char mac[MAC_TEXT_SIZE] = "", *path = NULL;
    bool has_mac = has_card(ibft);
    if (has_mac)
        mac_format(ibft_boot_nic(ibft)->mac, mac);
    cleanup_free char *plain = cli_path("/v1/ibft", node ? node : mac);
    if (asprintf(&path, "%s%s%s", plain, node && has_mac ? "?mac=" : "",
                 node && has_mac ? mac : "") < 0)
        abort();
    return path;
}

static int ask_server(const struct cli *cli, const struct ibft *ibft, const char *node,
                      struct other *ret_other, struct error *ret_error)
{
    json_t *json;
    if (!node && !has_card(ibft))
        return error_set(ret_error, -EINVAL,
                         "the table has no card to know the node by; say which one it is");
    cleanup_free char *path = intent_path(ibft, node);
    const struct client_request request = {.socket = cli->socket, .method = "GET", .path = path};
    int r = client_call(&request, &json, ret_error);
    if (r < 0)
        return r;
    take_intent(ret_other, json);
    json_decref(json);
    return 0;
}

/* --- either --- */

static int find_other(const struct cli *cli, const struct ibft *ibft, const char *node, bool is_own,
                      struct other *ret_other, struct error *ret_error)
{
    int r = ask_server(cli, ibft, node, ret_other, ret_error);
    if ((r != -ENOENT && r != -ECONNREFUSED) || node || !is_own)
        return r;
    ret_other->who = IBFT_MACHINE; /* no daemon here: a node */
    ibft_view_of_machine(ibft, "", &ret_other->view);
    return 0;
}

static void print_difference(const struct ibft_difference *d, enum ibft_other who)
{
    printf("%s: %s in the table, %s %s\n", ibft_field_key(d->field),
           d->table[0] ? d->table : "nothing", d->other[0] ? d->other : "nothing",
           who == IBFT_SERVER ? "intended" : "here");
    if (d->meaning[0])
        printf("    %s\n", d->meaning);
}

static void print_people(const struct other *other, const struct ibft_difference *list,
                         size_t count)
{
    for (size_t i = 0; i < count; i++)
        print_difference(&list[i], other->who);
    if (count > 0)
        return;
    if (other->who == IBFT_SERVER)
        printf("the table says what the server intends for node %s\n", other->name);
    else
        puts("there is no daemon here; the machine is what the table says");
}

static void print_programs(const struct other *other, const struct ibft_difference *list,
                           size_t count)
{
    json_t *differences = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(differences,
                              json_pack("{s:s, s:s, s:s, s:s}", "field",
                                        ibft_field_key(list[i].field), "table", list[i].table,
                                        "other", list[i].other, "meaning", list[i].meaning));
    json_t *json = json_pack("{s:s, s:s?, s:o}", "compared_with",
                             other->who == IBFT_SERVER ? "server" : "machine", "node",
                             other->name[0] ? other->name : NULL, "differences", differences);
    print_json(json);
    json_decref(json);
}

int cli_ibft_compare(const struct cli *cli, const struct ibft *ibft, const char *node, bool is_own)
{
    struct ibft_view table;
    struct ibft_difference list[IBFT_FIELDS];
    struct other other = {0};
    struct error error;
    if (find_other(cli, ibft, node, is_own, &other, &error) < 0)
        return cli_fail(&error);
    ibft_view_of_table(ibft, &table);
    size_t count = ibft_compare(&table, &other.view, other.who, list);
    if (cli->json)
        print_programs(&other, list, count);
    else
        print_people(&other, list, count);
    return count > 0 ? CLI_FAILED : CLI_OK;
}
