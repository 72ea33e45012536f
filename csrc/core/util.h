/* Arithmetic of sizes, bfloat16, and time. */
#ifndef BUS_UTIL_H
#define BUS_UTIL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline size_t bus_divide_up(size_t a, size_t b) { return (a + b - 1) / b; }

/* The next multiple of unit, a power of two. */
static inline size_t bus_round_up(size_t value, size_t unit)
{
    return (value + unit - 1) & ~(unit - 1);
}

/* The nearest bfloat16 of a finite number, ties to even. */
static inline uint16_t bus_to_bf16(float number)
{
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* 1 where a number is infinite or NaN, else 0, without a branch. */
static inline uint32_t bus_not_finite(float number)
{
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    return (bits & 0x7f800000) == 0x7f800000;
}

static inline float bus_from_bf16(uint16_t number)
{
    const uint32_t bits = (uint32_t)number << 16;
    float result;
    memcpy(&result, &bits, sizeof result);
    return result;
}

/* Seconds since some moment, for differences. */
double bus_clock(void);

#endif
