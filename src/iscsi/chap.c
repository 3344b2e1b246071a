#include "iscsi/chap.h"

#include <errno.h>
#include <nettle/base16.h>
#include <nettle/base64.h>
#include <nettle/md5.h>
#include <nettle/memops.h>
#include <nettle/nettle-meta.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <nettle/sha3.h>

/* The state of any of the hashes. */
union hash_state {
    struct md5_ctx md5;
    struct sha1_ctx sha1;
    struct sha256_ctx sha256;
    struct sha3_256_ctx sha3_256;
};

static const struct nettle_hash *hash_of(uint32_t algorithm)
{
    static const struct nettle_hash *const hashes[] = {
        [CHAP_MD5] = &nettle_md5,
        [CHAP_SHA1] = &nettle_sha1,
        [CHAP_SHA256] = &nettle_sha256,
        [CHAP_SHA3_256] = &nettle_sha3_256,
    };
    return algorithm < ARRAY_SIZE(hashes) ? hashes[algorithm] : NULL;
}

size_t chap_hash_size(enum chap_algorithm algorithm)
{
    return hash_of(algorithm)->digest_size;
}

/* One of a list's numbers, at `text`, of `length` characters. */
static bool is_known(const char *text, size_t length, enum chap_algorithm *ret_algorithm)
{
    char number[16];
    uint32_t algorithm;
    if (length >= sizeof(number))
        return false;
    memcpy(number, text, length);
    number[length] = '\0';
    if (iscsi_text_number(number, &algorithm) < 0 || !hash_of(algorithm))
        return false;
    *ret_algorithm = (enum chap_algorithm)algorithm;
    return true;
}

int chap_choose_algorithm(const char *list, enum chap_algorithm *ret_algorithm)
{
    for (const char *at = list;;) {
        size_t length = strcspn(at, ",");
        if (is_known(at, length, ret_algorithm))
            return 0;
        if (at[length] == '\0')
            return -EINVAL;
        at += length + 1;
    }
}

void chap_respond(enum chap_algorithm algorithm, uint8_t identifier, const char *secret,
                  const uint8_t *challenge, size_t size, uint8_t ret_response[static CHAP_HASH_MAX])
{
    const struct nettle_hash *hash = hash_of(algorithm);
    union hash_state state;
    hash->init(&state);
    hash->update(&state, 1, &identifier);
    hash->update(&state, strlen(secret), (const uint8_t *)secret);
    hash->update(&state, size, challenge);
    hash->digest(&state, hash->digest_size, ret_response);
    explicit_bzero(&state, sizeof(state));
}

bool chap_same(const uint8_t *a, const uint8_t *b, size_t size)
{
    return memeql_sec(a, b, size);
}

/* An odd number of digits begins with half a byte, as a number does. */
static int decode_hex(const char *digits, uint8_t *data, size_t *ret_size)
{
    size_t length = strlen(digits), odd = length % 2;
    if (length == 0 || length > 2 * CHAP_BINARY_MAX ||
        strspn(digits, "0123456789abcdefABCDEF") != length)
        return -EINVAL;
    struct base16_decode_ctx state;
    char first[2] = {'0', digits[0]};
    size_t size = 0, more = CHAP_BINARY_MAX - odd;
    base16_decode_init(&state);
    if (odd) {
        size = 1;
        base16_decode_update(&state, &size, data, sizeof(first), first);
    }
    base16_decode_update(&state, &more, data + size, length - odd, digits + odd);
    *ret_size = size + more;
    return 0;
}

static int decode_base64(const char *digits, uint8_t *data, size_t *ret_size)
{
    uint8_t decoded[CHAP_BINARY_MAX + 8];
    size_t length = strlen(digits), size = sizeof(decoded);
    struct base64_decode_ctx state;
    if (BASE64_DECODE_LENGTH(length) > sizeof(decoded))
        return -EINVAL;
    base64_decode_init(&state);
    if (!base64_decode_update(&state, &size, decoded, length, digits) ||
        !base64_decode_final(&state) || size == 0 || size > CHAP_BINARY_MAX)
        return -EINVAL;
    memcpy(data, decoded, size);
    *ret_size = size;
    return 0;
}

int chap_decode(const char *value, uint8_t ret_data[static CHAP_BINARY_MAX], size_t *ret_size)
{
    if (value[0] != '0')
        return -EINVAL;
    if (value[1] == 'x' || value[1] == 'X')
        return decode_hex(value + 2, ret_data, ret_size);
    if (value[1] == 'b' || value[1] == 'B')
        return decode_base64(value + 2, ret_data, ret_size);
    return -EINVAL;
}

void chap_add_binary(struct iscsi_text *text, const char *key, const uint8_t *data, size_t size)
{
    char value[2 + BASE16_ENCODE_LENGTH(CHAP_BINARY_MAX) + 1] = "0x";
    base16_encode_update(value + 2, size, data);
    value[2 + BASE16_ENCODE_LENGTH(size)] = '\0';
    iscsi_text_add(text, key, value);
}
