#include "boot/onward.h"

/* Firmware gives up a way in which nobody answers sooner. */
#define PATIENCE (5 * 60 * USEC_PER_SEC)

bool boot_onward_asks(struct boot_onward *onward, enum boot_way way, uint64_t silence)
{
    uint8_t bit = (uint8_t)(1U << way);
    bool again = onward->went_on && onward->asking == bit; /* an answer got lost */
    bool goes_on = onward->left && silence <= PATIENCE && (again || !(onward->asked & bit));
    onward->went_on |= goes_on;
    onward->asked |= bit;
    onward->asking = bit;
    return goes_on;
}

void boot_onward_gets_further(struct boot_onward *onward)
{
    onward->asking = 0;
}

void boot_onward_decide(struct boot_onward *onward, bool left, bool chosen)
{
    onward->left = left;
    onward->chosen = left && chosen;
    onward->went_on &= left;
}

bool boot_onward_is_chosen(const struct boot_onward *onward)
{
    return onward->went_on && onward->chosen;
}
