/* What belongs to one machine, and would be in each copy of the image. */
#include "prepare/check_rules.h"
#include "prepare/edit.h"

#define ERROR   CHECK_ERROR
#define WARNING CHECK_WARNING

static void check_machine_id(struct check *check)
{
    const struct tree_entry *id = plan_get(&check->plan, "etc/machine-id");
    if (id->kind == TREE_FILE && id->size > 0 && strncmp(id->data, "uninitialized", 13) != 0)
        check_found(check, ERROR, "machine-id", "system", NULL,
                    "/etc/machine-id is filled: all nodes are the same machine to DHCP, journals "
                    "and systemd");
}

static void check_ssh_keys(struct check *check)
{
    struct tree_names names = plan_list(&check->plan, "etc/ssh");
    for (size_t i = 0; i < names.count; i++)
        if (str_has_prefix(names.names[i], "ssh_host_") && strstr(names.names[i], "_key")) {
            check_found(check, ERROR, "ssh-host-keys", "up", NULL,
                        "/etc/ssh has host keys: all nodes have the same, and each can pretend to "
                        "be another");
            return;
        }
}

static void check_host_name(struct check *check)
{
    char text[EDIT_MAX_FIELD];
    const char *name = plan_text(&check->plan, "etc/hostname");
    if (!name)
        return;
    str_copy(text, sizeof(text), name);
    text[strcspn(text, "\n")] = '\0';
    check_found(check, WARNING, "host-name", "system", NULL,
                "/etc/hostname says \"%s\": all nodes are called that, whatever their iBFT says",
                text);
}

static void check_initiator(struct check *check)
{
    const struct tree_entry *name = plan_get(&check->plan, "etc/iscsi/initiatorname.iscsi");
    if (name->kind == TREE_FILE)
        check_found(check, ERROR, "initiator-name", "system", NULL,
                    "/etc/iscsi/initiatorname.iscsi is a file: further disks of all nodes are "
                    "logged in to with one initiator's name, which the server takes for one "
                    "machine");
}

static void check_names_in(struct check *check, const char *directory, const char *prefix,
                           const char *end, const char *name, const char *what)
{
    struct tree_names names = plan_list(&check->plan, directory);
    for (size_t i = 0; i < names.count; i++) {
        size_t size = strlen(names.names[i]), length = strlen(end);
        if (str_has_prefix(names.names[i], prefix) && size >= length &&
            str_eq(names.names[i] + size - length, end)) {
            check_found(check, WARNING, name, "system", NULL, "/%s/%s: %s", directory,
                        names.names[i], what);
            return;
        }
    }
}

/* A .link file that is for one card. */
static void check_link_file(struct check *check, const char *path, const char *text,
                            const void *context)
{
    (void)context;
    char value[EDIT_MAX_FIELD];
    if (strstr(path, ".link") && (variable_get(text, "MACAddress", value, sizeof(value)) ||
                                  variable_get(text, "PermanentMACAddress", value, sizeof(value))))
        check_found(check, WARNING, "card-link-file", "system", "remove it",
                    "/%s is for the card %s, which no node has: names of cards differ from what "
                    "it was made for",
                    path, value);
}

void check_identity(struct check *check)
{
    check_machine_id(check);
    check_ssh_keys(check);
    check_host_name(check);
    check_initiator(check);
    check_names_in(check, "var/lib/dhcp", "", ".leases", "dhcp-leases",
                   "nodes ask for the address of the machine that the image is from");
    check_names_in(check, "var/lib/dhclient", "", ".leases", "dhcp-leases",
                   "nodes ask for the address of the machine that the image is from");
    check_names_in(check, "etc/udev/rules.d", "70-persistent-net", ".rules", "card-names",
                   "cards are called after MACs that no node has: eth0 is nobody's");
    if (plan_exists(&check->plan, "var/lib/systemd/random-seed"))
        check_found(check, WARNING, "random-seed", "system", NULL,
                    "/var/lib/systemd/random-seed is there: all nodes begin with the same one");
    check_each_text(check, "etc/systemd/network", check_link_file, NULL);
    if (plan_exists(&check->plan, "var/lib/cloud/instance"))
        check_found(check, WARNING, "cloud-init-instance", "system",
                    "cloud-init clean, or remove /var/lib/cloud",
                    "/var/lib/cloud/instance is there: cloud-init takes each node for the machine "
                    "that the image is from, and does nothing of a first boot");
}
