/*
 * Any bytes as the stream of a new connection. The first byte says in pieces of which size they
 * come.
 */
#include "initiator.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct lab *lab = lab_new(1 * MIB, 512);
    struct initiator *node = initiator_new(lab, 11);
    lab->disk->immediate = true;
    node->piece = data[0];
    initiator_send_bytes(node, data + 1, size - 1);
    initiator_free(node);
    lab_free(lab);
    return 0;
}
