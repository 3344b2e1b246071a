/* What nodes.c and the nodes_....c share. */
#pragma once

#include "boot/script.h"
#include "http/entry_digest.h"
#include "http/http.h"
#include "http/nodes.h"
#include "ipxe/variables.h"
#include "registry/plan.h"
#include "registry/registry.h"

#define NODE_HTTP_URL_SIZE (MAX(ENDPOINT_TEXT_SIZE, NODE_HTTPS_NAME_MAX) + 16)

struct node_http {
    struct node_http_settings settings;
    char memtest[PATH_MAX]; /* that of the settings, whatever becomes of it */
    struct http_server *servers[2 * NODE_HTTP_MAX_LISTEN];
    struct endpoint endpoints[2 * NODE_HTTP_MAX_LISTEN];
    size_t n_plain, count; /* HTTP, then HTTPS */
    struct node_http_counters counters;
    struct counter n_looks; /* threads that look at a disk */
    struct entry_digests digests;
};

void node_http_reply_text(struct http_request *request, unsigned status, const char *text);
/* The same, counted and told as a request for nothing that there is. */
void node_http_refuse(struct node_http *http, struct http_request *request,
                      const struct endpoint *peer, unsigned status, const char *text);
/* The MAC that the request names; false: answered. */
bool node_http_get_mac(struct node_http *http, struct http_request *request,
                       const struct endpoint *peer, struct mac_address *ret_mac);
/* May the machine at this address have what this plan for its MAC says? Otherwise it was told. */
bool node_http_may_have(struct node_http *http, const struct endpoint *peer,
                        const struct plan *plan, struct mac_address mac);

/* Is the machine at this address known to be another one than this node's with this MAC? */
bool node_http_is_stranger(const struct node_http *http, const struct endpoint *peer,
                           const struct catalog_node *node, struct mac_address mac);
/* What the machine with this MAC boots in the boot that is under way, with what it has chosen in a
 * menu. */
struct plan node_http_plan(const struct node_http *http, const struct http_request *request,
                           const struct catalog *catalog, struct mac_address mac);
/* The same after its script: with what a hook has said for that. False: it should have been asked,
 * and was not by this daemon. */
bool node_http_plan_again(const struct node_http *http, const struct http_request *request,
                          const struct catalog *catalog, struct mac_address mac,
                          struct plan *ret_plan);
/* Likewise after its script, with a choice in the menu that is no query's. */
struct plan node_http_plan_chosen(const struct node_http *http, const struct http_request *request,
                                  const char *chosen, const struct catalog *catalog,
                                  struct mac_address mac);
/* A target that the query names, in our own words; NULL: there is none. Lives as long as buffer. */
const char *node_http_query_target(const struct http_request *request, const char *key,
                                   char buffer[static BOOT_TARGET_SIZE]);
/* May who asks for a node's MAC be that node? Otherwise it was told. */
bool node_http_is_node(struct node_http *http, const struct endpoint *peer,
                       const struct catalog_node *node, struct mac_address mac);

/* --- nodes_https.c --- */

/* Has it come over HTTPS? */
bool node_http_is_secure(const struct node_http *http, const struct endpoint *local);
/* "http://10.0.0.1:8080": where a machine reaches us that has reached us at `local`. */
const char *node_http_format_url(const struct node_http *http, const struct endpoint *local,
                                 char url[static NODE_HTTP_URL_SIZE]);
/* The same for what fetches no more by iPXE. */
const char *node_http_format_system_url(const struct node_http *http, const struct endpoint *local,
                                        char url[static NODE_HTTP_URL_SIZE]);
/* Has it come over HTTP, and must not have what belongs to this plan (NULL: to any) over that? */
bool node_http_needs_https(const struct node_http *http, const struct endpoint *local,
                           const struct plan *plan);
/* The same for what installers fetch. */
bool node_http_install_needs_https(const struct node_http *http, const struct endpoint *local);
/* Answers such a request for a boot script, or for anything else. node: NULL: it is none. */
void node_http_send_to_https(struct node_http *http, struct http_request *request,
                             const struct endpoint *peer, const struct endpoint *local,
                             const struct catalog_node *node, struct mac_address mac);
void node_http_refuse_plain(struct node_http *http, struct http_request *request,
                            const struct endpoint *peer);

/* --- nodes_entries.c --- */

/* /entry/..., /memtest.bin, /memtest.efi; false: the path is none of these. */
bool node_http_entry(struct node_http *http, struct http_request *request,
                     const struct endpoint *peer, const struct endpoint *local);

/* A file of an entry's; a pipe or a device, which would hold up everybody, is -EINVAL. */
int node_http_open_file(const char *path, int *ret_fd, uint64_t *ret_size) MUST_CHECK;
/* What the operator has to mend of an entry. */
void node_http_tell_bad_entry(struct node_http *http, const struct endpoint *peer,
                              const char *entry, const char *reason);

/* --- nodes_installs.c --- */

/* /install/...; false: the path is another one. */
bool node_http_install(struct node_http *http, struct http_request *request,
                       const struct endpoint *peer, const struct endpoint *local);

/* --- nodes_claim.c --- */

/* Has the plan's rule, and CHAP secrets of its own, given to this boot, and what its disk is
 * written down, if that is still to be done. False: it is under way, and the request comes again.
 * True: go on; plan->kind says if it could not be done. */
bool node_http_claim(struct node_http *http, struct http_request *request, struct plan *plan);

/* --- nodes_asked.c --- */

/* Asks who has a say in what this plan's node boots. True: the request comes again when he has said
 * something. */
bool node_http_ask(struct node_http *http, struct http_request *request,
                   const struct catalog *catalog, const struct plan *plan, struct mac_address mac,
                   const struct endpoint *peer);
/* What he has said; nothing, too, if nobody was asked. Lives as long as the request. */
const struct node_http_say *node_http_said(const struct http_request *request);

/* The boot script of a plan; peer: where the machine asks from. From malloc(); NULL without memory.
 */
char *node_http_render(const struct node_http *http, const struct plan *plan,
                       struct mac_address mac, const struct endpoint *peer,
                       const struct endpoint *local, const struct catalog *catalog);

/* --- nodes_direct.c --- */

/* /direct.ipxe, /direct/kernel, /direct/initrd; false: the path is none of these. */
bool node_http_direct(struct node_http *http, struct http_request *request,
                      const struct endpoint *peer, const struct endpoint *local);

/* --- nodes_paths.c --- */

struct node_http_paths {
    struct boot_path list[REGISTRY_MAX_PATHS];
    size_t count;
};

/* How its other cards reach the disk of the node that boots through the one which has this address.
 * None if the address is none of its own: only between those is it one machine. */
void node_http_find_paths(const struct node_http *http, const struct plan *plan,
                          const struct endpoint *peer, struct node_http_paths *ret_paths);

/* --- nodes_loaders.c --- */

/* /loaders/...; false: the path is another one. */
bool node_http_loader(struct node_http *http, struct http_request *request,
                      const struct endpoint *peer);

/* --- nodes_scripts.c --- */

/* A machine that scripts are for. Texts of the catalog live as long as that. */
struct node_script_machine {
    const struct catalog *catalog;
    const struct catalog_node *node; /* NULL: it is none */
    bool has_mac;                    /* it is known */
    struct mac_address mac;
    char mac_text[MAC_TEXT_SIZE];
    char server_url[NODE_HTTP_URL_SIZE], boot_url[NODE_HTTP_URL_SIZE + MAC_TEXT_SIZE + 16];
    char iscsi_server[ENDPOINT_TEXT_SIZE];
    char base_iqn[IQN_MAX_LEN + 1], base_iscsi[IQN_MAX_LEN + ENDPOINT_TEXT_SIZE + 24];
    char initiator[IQN_MAX_LEN + NAME_MAX_LEN + 2]; /* "": of no node */
};

/* mac: NULL: nobody knows it; local: where it reaches us. */
void node_http_find_machine(struct node_http *http, const struct catalog *catalog,
                            const struct mac_address *mac, const struct endpoint *local,
                            struct node_script_machine *ret_machine);

enum node_script_origin {
    NODE_SCRIPT_AS_IT_IS,
    NODE_SCRIPT_FILLED,   /* boot.ipxe.cfg with our values */
    NODE_SCRIPT_TEMPLATE, /* NAME.in, rendered */
    NODE_SCRIPT_MADE,     /* it is in no file */
};

struct node_script_file {
    enum node_script_origin origin;
    int fd;     /* AS_IT_IS: the file; to be closed */
    char *text; /* else; free() it */
    uint64_t size;
};

/* A file of the directory of scripts as this machine gets it. -ENOENT, -EXDEV, -EISDIR: it gets
 * none; others: it should, and there is a mistake in it. */
int node_http_script_file(const struct node_http *http, const struct node_script_machine *machine,
                          const char *name, struct node_script_file *ret_file,
                          struct error *ret_error) MUST_CHECK;

#define NODE_SCRIPTS_URL_SIZE (NODE_HTTP_URL_SIZE + MAC_TEXT_SIZE + 32)
/* Of the boot.ipxe that nodes boot by; NULL: there is none, or they are not to, or it is no node.
 */
const char *node_http_scripts_url(const struct node_http *http, const struct plan *plan,
                                  struct mac_address mac, const struct endpoint *local,
                                  char url[static NODE_SCRIPTS_URL_SIZE]);

/* The variables of the operator's file of scripts, and those that nodisk gives. */
int node_http_add_own_variables(const struct node_http *http, struct script_variables *variables,
                                struct error *ret_error) MUST_CHECK;
int node_http_set_variables(const struct node_script_machine *machine,
                            struct script_variables *variables) MUST_CHECK;
/* A template's file: *ret_text: free() it; terminated, too. -EFBIG: it is none. */
int node_http_read_text(int fd, uint64_t size, char **ret_text, size_t *ret_size) MUST_CHECK;

/* /scripts/...; false: the path is another one. */
bool node_http_scripts(struct node_http *http, struct http_request *request,
                       const struct endpoint *peer, const struct endpoint *local);
