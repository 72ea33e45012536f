/* The fuzzer's bytes, taken one after another; behind the last one come zeros. */
#ifndef INPUT_H
#define INPUT_H

#include <stddef.h>
#include <stdint.h>

struct input {
    const uint8_t *data;
    size_t left;
};

static inline uint8_t take_byte(struct input *input)
{
    if (input->left == 0)
        return 0;
    input->left--;
    return *input->data++;
}

/* A number from 0 to max, which is at most 255. */
static inline int take_up_to(struct input *input, int max)
{
    return take_byte(input) % (max + 1);
}

/* A number from 1 to max; for a few bytes one that no layer can have. */
static inline int64_t take_size(struct input *input, int max)
{
    static const int64_t hostile[] = {0, -1, INT64_MIN, INT64_MAX, INT32_MAX, 1 << 20};
    const uint8_t byte = take_byte(input);
    if (byte >= 0xfa)
        return hostile[byte - 0xfa];
    return byte % max + 1;
}

#endif
