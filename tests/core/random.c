#include "random.h"

#include <stdlib.h>

int random_int(unsigned *state, int low, int high)
{
    *state = *state * 1664525U + 1013904223U;
    return low + (int)((*state >> 8) % (unsigned)(high - low + 1));
}

float *random_numbers(unsigned *state, size_t count, float scale)
{
    float *numbers = malloc((count + 1) * sizeof *numbers);
    for (size_t i = 0; i < count; i++)
        numbers[i] = scale * (float)random_int(state, -1000, 1000) / 1000.0F;
    return numbers;
}
