#include "core/wake.h"

#include "core/wire.h"

#include <errno.h>

#define REPETITIONS 16

int wake_password_parse(const char *text, struct wake_password *ret_password)
{
    struct wake_password password = {.given = true};
    char separator = strlen(text) == MAC_TEXT_SIZE - 1 ? text[2] : '\0';
    if (separator != ':' && separator != '-')
        return -EINVAL;
    for (size_t i = 0; i < WAKE_PASSWORD_SIZE; i++) {
        int high = hex_value(text[3 * i]), low = hex_value(text[3 * i + 1]);
        bool last = i == WAKE_PASSWORD_SIZE - 1;
        if (high < 0 || low < 0 || (!last && text[3 * i + 2] != separator))
            return -EINVAL;
        password.bytes[i] = (uint8_t)(high << 4 | low);
    }
    *ret_password = password;
    return 0;
}

const char *wake_password_format(const struct wake_password *password,
                                 char buffer[static MAC_TEXT_SIZE])
{
    struct mac_address mac;
    memcpy(mac.bytes, password->bytes, sizeof(mac.bytes));
    return mac_format(mac, buffer);
}

size_t wake_packet_build(uint8_t packet[static WAKE_PACKET_MAX], struct mac_address mac,
                         const struct wake_password *password)
{
    struct wire_writer w = wire_writer_of(packet, WAKE_PACKET_MAX);
    memset(wire_put_room(&w, 6), 0xff, 6);
    for (size_t i = 0; i < REPETITIONS; i++)
        wire_put_bytes(&w, mac.bytes, sizeof(mac.bytes));
    if (password->given)
        wire_put_bytes(&w, password->bytes, sizeof(password->bytes));
    return wire_writer_used(&w);
}
