/* Any bytes as a request and as a client's packet; options that were read can be acknowledged. */
#include "core/directory.h"
#include "tftp/packet.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tftp_request request;
    struct tftp_answer answer;
    if (tftp_parse_request(data, size, &request) == 0) {
        uint8_t packet[TFTP_MAX_OACK];
        char name[PATH_MAX];
        const struct tftp_options *o = &request.options;
        assert(strlen(request.file) + strlen(request.mode) < size);
        assert(o->blksize <= TFTP_MAX_BLKSIZE && o->timeout <= 255 && o->windowsize <= 65535);
        directory_clean_name(request.file, name);
        assert(name[0] != '/' && !strchr(name, '\\') && !strchr(name, '\n'));
        size_t n = tftp_build_oack(packet, o, UINT64_MAX);
        assert(n >= 2 && n <= TFTP_MAX_OACK);
    }
    if (tftp_parse_answer(data, size, &answer) == 0) {
        uint8_t packet[TFTP_MAX_ERROR];
        if (answer.opcode == TFTP_ERROR)
            assert(tftp_build_error(packet, TFTP_ERROR_OTHER, answer.text) <= TFTP_MAX_ERROR);
    }
    return 0;
}
