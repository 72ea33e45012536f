/* Rounding of sizes. */
#ifndef BUS_ROUND_H
#define BUS_ROUND_H

#include <stddef.h>

static inline size_t bus_divide_up(size_t a, size_t b) { return (a + b - 1) / b; }

/* The next multiple of unit, a power of two. */
static inline size_t bus_round_up(size_t value, size_t unit)
{
    return (value + unit - 1) & ~(unit - 1);
}

#endif
