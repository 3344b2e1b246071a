/* Tells when network interfaces or their IPv4 addresses come, go or change (rtnetlink(7)). */
#pragma once

#include "core/util.h"

#include <systemd/sd-event.h>

struct link_watch;

/* changed() is called on the loop's thread, once the changes have been quiet for a moment. */
int link_watch_start(sd_event *loop, void (*changed)(void *context), void *context,
                     struct link_watch **ret_watch) MUST_CHECK;
/* NULL: no-op. */
void link_watch_stop(struct link_watch *watch);
