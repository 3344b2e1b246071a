/* Steps that take out what belongs to one machine; each node makes its own, on its own disk. */
#include "prepare/edit.h"
#include "prepare/recipe.h"

/* What ends so in a directory. */
static void remove_all(struct plan *plan, const char *directory, const char *prefix,
                       const char *end)
{
    struct tree_names names = plan_list(plan, directory);
    for (size_t i = 0; i < names.count; i++) {
        size_t size = strlen(names.names[i]), length = strlen(end);
        if (str_has_prefix(names.names[i], prefix) && size >= length &&
            str_eq(names.names[i] + size - length, end))
            plan_remove(plan, plan_format(plan, "%s/%s", directory, names.names[i]));
    }
}

void step_machine_id(struct plan *plan)
{
    /* an empty one is filled in at boot; none at all would mean "first boot", with all presets */
    plan_file(plan, "etc/machine-id", 0, "", 0);
    if (plan_get(plan, "var/lib/dbus/machine-id")->kind != TREE_LINK)
        plan_remove(plan, "var/lib/dbus/machine-id");
}

void step_host_name(struct plan *plan)
{
    const char *hosts = plan_text(plan, "etc/hosts");
    plan_remove(plan, "etc/hostname");
    cleanup_free char *edited = hosts ? hosts_edit(hosts) : NULL;
    if (edited)
        plan_file(plan, "etc/hosts", 0, edited, strlen(edited));
}

void step_initiator_name(struct plan *plan)
{
    plan_link(plan, "etc/iscsi/initiatorname.iscsi", "/run/nodisk/initiatorname.iscsi");
}

void step_leases(struct plan *plan)
{
    remove_all(plan, "var/lib/dhcp", "", ".leases");
    remove_all(plan, "var/lib/dhclient", "", ".leases");
    remove_all(plan, "var/lib/wicked", "lease-", ".xml");
    remove_all(plan, "var/lib/NetworkManager", "", ".lease");
}

void step_card_names(struct plan *plan)
{
    remove_all(plan, "etc/udev/rules.d", "70-persistent-", ".rules");
}

void step_random_seed(struct plan *plan)
{
    plan_remove(plan, "var/lib/systemd/random-seed");
    plan_remove(plan, "var/lib/systemd/credential.secret");
    plan_remove(plan, "var/lib/urandom/random-seed");
    plan_remove(plan, "var/lib/NetworkManager/secret_key");
}
