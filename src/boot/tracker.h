/*
 * How far each node's boot has come: gathers the signs that DHCP, TFTP, HTTP and iSCSI see,
 * remembers the stages of the boot under way, stores them in the registry and tells who listens.
 *
 * Thread-safe; calls never block for long. Signs of machines that are no nodes are ignored.
 */
#pragma once

#include "boot/onward.h"
#include "boot/stage.h"
#include "boot/watch.h"
#include "registry/registry.h"

struct boot_tracker;

/* Takes back the last boot of every node from the registry, and who holds which address. */
int boot_tracker_new(struct registry *registry, struct catalog_slot *catalog,
                     struct boot_tracker **ret_tracker, struct error *ret_error) MUST_CHECK;
void boot_tracker_free(struct boot_tracker *tracker);

/* A sign of a node that is known by its MAC, by its address, or by its initiator name. detail: for
 * people ("10.0.0.11", "undionly.kpxe"). */
void boot_tracker_sign_of_mac(struct boot_tracker *tracker, struct mac_address mac,
                              enum boot_sign sign, const char *detail);
void boot_tracker_sign_of_address(struct boot_tracker *tracker, uint32_t address,
                                  enum boot_sign sign, const char *detail);
void boot_tracker_sign_of_initiator(struct boot_tracker *tracker, const char *initiator,
                                    enum boot_sign sign, const char *detail);

/* BOOT_SIGN_FIRMWARE_DHCP of firmware that asks in this way. */
void boot_tracker_firmware_asks(struct boot_tracker *tracker, struct mac_address mac,
                                enum boot_way way, const char *detail);

/* This machine (a node or not) was given this address. */
void boot_tracker_set_address(struct boot_tracker *tracker, uint32_t address,
                              struct mac_address mac);
/* The machine that was given this address last; false: none that we know of. */
bool boot_tracker_mac_of_address(struct boot_tracker *tracker, uint32_t address,
                                 struct mac_address *ret_mac);

/* Is this node on its way from its firmware to its kernel right now? Only then it needs its script.
 * A machine that has not been heard of for long is not. */
bool boot_tracker_is_booting(struct boot_tracker *tracker, uint64_t node_id);
/* The same, of a node whose disk is elsewhere. Nobody sees when it has no more need of its script:
 * it has none when it is up, or five minutes after it had it first; so has one that had it from an
 * earlier daemon. */
bool boot_tracker_is_booting_elsewhere(struct boot_tracker *tracker, uint64_t node_id);

/* Has its system logged in in its last boot, or said that it is up? */
bool boot_tracker_has_system(struct boot_tracker *tracker, uint64_t node_id);

/* The last boot of this node; 0: it has never booted. */
uint64_t boot_tracker_boot_id(struct boot_tracker *tracker, uint64_t node_id);

/* What the boot under way boots was decided: is it a volume of ours, so that it has failed if it
 * reads that and does not come to its initramfs? True: the first time in this boot. */
bool boot_tracker_decide(struct boot_tracker *tracker, uint64_t node_id, bool tries);
/* The script of the boot under way leaves the node to its firmware, or it does not; chosen: since
 * that was chosen in the menu. */
void boot_tracker_leave(struct boot_tracker *tracker, uint64_t node_id, bool left, bool chosen);
/* Was its own disk chosen in the menu earlier in this boot, and its firmware has come here on its
 * way there? */
bool boot_tracker_has_chosen_local(struct boot_tracker *tracker, uint64_t node_id);
/* Boots of this node in a row that failed, before the last one. */
uint32_t boot_tracker_failures(struct boot_tracker *tracker, uint64_t node_id);

/* What a hook has said that the boot under way boots; NONE: nothing. */
void boot_tracker_set_said(struct boot_tracker *tracker, uint64_t node_id,
                           const struct boot_target *target);
/* False: no hook was asked in this boot, or by an earlier daemon. */
bool boot_tracker_said(struct boot_tracker *tracker, uint64_t node_id,
                       struct boot_target *ret_target);

/* What the node has said of itself in the boot under way. Without memory it has not. */
void boot_tracker_set_facts(struct boot_tracker *tracker, uint64_t node_id,
                            const struct facts *facts);
/* What it has said last; false: nothing since this daemon runs. *ret_now: in the boot under way. */
bool boot_tracker_facts(struct boot_tracker *tracker, uint64_t node_id, struct facts *ret_facts,
                        bool *ret_now);

/* Something that is no stage, as an event on a line, for all who watch. */
void boot_tracker_tell(struct boot_tracker *tracker, const char *json_line);

/* For those who show it; lives as long as the tracker. */
struct stage_provider boot_tracker_provider(struct boot_tracker *tracker);
