/* DHCP options of nodes and groups, in answers and requests. */
#include "http/admin_internal.h"

json_t *options_to_json(const struct dhcp_options *options)
{
    char text[DHCP_SETTING_TEXT_SIZE];
    struct dhcp_setting setting;
    json_t *list = json_array();
    for (size_t at = 0; dhcp_options_next(options, &at, &setting);)
        json_array_append_new(list, json_string(dhcp_setting_format(&setting, text)));
    return list;
}

struct registry_options_change options_of_body(const struct body_list *set,
                                               const struct body_list *unset)
{
    return (struct registry_options_change){
        .set = set->items, .n_set = set->count, .unset = unset->items, .n_unset = unset->count};
}
