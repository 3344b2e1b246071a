/*
 * What a tree was like before it was prepared: var/lib/nodisk-prepare/ in it, for root alone. Each
 * path has its first state there, and the SHA-256 of what it was given last, so that what somebody
 * changed since is told from what is ours. It is durable before the path changes. A record that
 * another user could write is not believed.
 */
#pragma once

#include "prepare/plan.h"

#define UNDO_DIRECTORY "var/lib/nodisk-prepare"

/* Notes what the plan is about to change. */
int undo_note(struct plan *plan, struct error *ret_error) MUST_CHECK;

/* What is found for one path. */
enum undo_result { UNDO_RESTORED, UNDO_WAS_SO, UNDO_CHANGED_SINCE };
/* result: an enum undo_result, or the error for which it stays. */
typedef void undo_told(void *context, const char *path, int result);

/* Gives all paths their first states back and forgets them. What somebody else changed (unless
 * force) or what cannot be given back stays, and is remembered. dry: only tells. ret_kept: how many
 * stayed. -ENOENT: there is nothing to undo; -EPERM: the record may be somebody else's. */
int undo_all(const struct tree *tree, bool force, bool dry, undo_told *told, void *context,
             size_t *ret_kept, struct error *ret_error) MUST_CHECK;

/* Forgets the first states. -ENOENT: there are none. */
int undo_forget(const struct tree *tree, struct error *ret_error) MUST_CHECK;
