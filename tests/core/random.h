/* Numbers for tests, the same in every run. */
#ifndef RANDOM_H
#define RANDOM_H

#include <stddef.h>

/* An integer from low to high. */
int random_int(unsigned *state, int low, int high);

/* count multiples of 1/1000 of scale, from -scale to scale. Free them. */
float *random_numbers(unsigned *state, size_t count, float scale);

#endif
