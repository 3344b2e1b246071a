/* What the files that make nodes share. */
#pragma once

#include "http/admin_internal.h"

/* Of a node that is to be made or changed. */
struct node_request {
    struct body_node fields;
    const struct mac_address *macs;
    size_t n_macs;
    const struct catalog_path *paths;
    size_t n_paths;
    uint32_t address;
    char image[64];
    uint32_t version;
    enum chap_mode chap;
    struct wake_password wake_password;
    struct boot_ways ways;
};

/* Looks at what the fields say; what it points to is the body's. */
int node_request_take(struct body *body, const struct body_node *fields,
                      struct node_request *ret_request, struct error *ret_error) MUST_CHECK;
/* Makes the node. */
int node_request_add(struct call *call, const struct node_request *request,
                     struct error *ret_error) MUST_CHECK;
/* The node as JSON. */
json_t *node_result(struct admin *admin, const char *name, uint32_t version);
