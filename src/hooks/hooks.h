/*
 * Hooks: programs of the operator's, which are told what happens, are asked what a node shall boot,
 * or do something with its power.
 *
 * A program has what is known of the node as a JSON object on its standard input, and each text and
 * number of that in its environment, too: "node" is NODISK_NODE. Its environment has nothing else
 * but PATH, LC_ALL, HOME and NODISK_SOCKET, so that it can call nodisk(1).
 *
 * Whoever tells or asks never waits: threads of this module do. Thread-safe.
 */
#pragma once

#include "hooks/answer.h"

#include <jansson.h>
#include <limits.h>
#include <sys/types.h>

enum hook_event {
    HOOK_PLAN, /* asks: what shall this node boot? */
    HOOK_REGISTERED,
    HOOK_STAGE,
    HOOK_BOOTED,
    HOOK_LOGIN,
    HOOK_FAILED,
    HOOK_EVENTS,
};

/* "plan", "registered", ...: what their files are called. */
const char *hook_event_name(enum hook_event event);

struct hooks;

struct hook_settings {
    char directory[PATH_MAX];
    unsigned seconds; /* that a hook may take */
    unsigned at_once; /* programs that run at a time for each kind of work: telling, asking */
    char user[64];    /* as whom they run; "": as who runs the daemon */
    char socket[108]; /* of the daemon that runs them; "": they are not told */
};

struct hook_report {
    const char *node; /* NULL: none */
    const char *hook; /* its path */
    bool failed;
    const char *text; /* a sentence without its subject; or what it has said on stderr */
};

struct hook_listener {
    /* Something that the operator should know of. Several threads at once. */
    void (*report)(void *context, const struct hook_report *report);
    /* So many events and questions were dropped since more came than hooks could be told. */
    void (*dropped)(void *context, uint64_t count);
    void *context;
};

/* Looks the user up; both are copied. -EINVAL: there is no such user. */
int hooks_new(const struct hook_settings *settings, const struct hook_listener *listener,
              struct hooks **ret_hooks, struct error *ret_error) MUST_CHECK;
/* Ends all that run and answers all who wait; from then on nothing is run. NULL: no-op. */
void hooks_stop(struct hooks *hooks);
/* After it was stopped, when nobody can call any more. NULL: no-op. */
void hooks_free(struct hooks *hooks);
/* Other settings from the next program on, but for at_once. As hooks_new(). */
int hooks_set(struct hooks *hooks, const struct hook_settings *settings,
              struct error *ret_error) MUST_CHECK;

/* Is there a hook for it, and is it not too late? Waits for its directory only. */
bool hooks_any(struct hooks *hooks, enum hook_event event);

/* Tells all hooks of the event; those of one machine, whose "mac" is in the facts, in the order in
 * which it is called for, others at the same time. facts is taken over (NULL: without memory). */
void hooks_tell(struct hooks *hooks, enum hook_event event, json_t *facts);

struct hook_question {
    json_t *facts; /* taken over */
    /* Is this an answer? -EINVAL and what is wrong with it. */
    int (*check)(const struct hook_question *question, const struct hook_answer *answer,
                 struct error *ret_error);
    /* On any thread, once. text: the whole answer; NULL, with the answer NULL, too: no hook has an
     * opinion, or none that can be used (which was reported). */
    void (*done)(struct hook_question *question, const struct hook_answer *answer,
                 const char *text);
};

/* Asks one hook of HOOK_PLAN after the other until one has answered; all of them have the time of
 * one, and as long as that may the question wait before. False: none can be asked now, and nothing
 * was taken over. question lives until done() is called. */
bool hooks_ask(struct hooks *hooks, struct hook_question *question) MUST_CHECK;

/* Runs DIRECTORY/FOLDER/NAME with one argument, and waits for it. secret: on its descriptor 3;
 * NULL: none. facts is taken over. -ENOENT: there is no such hook. */
int hooks_act(struct hooks *hooks, const char *folder, const char *name, const char *argument,
              json_t *facts, const char *secret, struct hook_answer *ret_answer,
              struct error *ret_error) MUST_CHECK;
