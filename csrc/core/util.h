/* Arithmetic of sizes, and time. */
#ifndef BUS_UTIL_H
#define BUS_UTIL_H

#include <stddef.h>

static inline size_t bus_divide_up(size_t a, size_t b) { return (a + b - 1) / b; }

/* The next multiple of unit, a power of two. */
static inline size_t bus_round_up(size_t value, size_t unit)
{
    return (value + unit - 1) & ~(unit - 1);
}

/* Seconds since some moment, for differences. */
double bus_clock(void);

#endif
