/* Seconds since some moment, for differences. */
#ifndef BUS_CLOCK_H
#define BUS_CLOCK_H

#include <time.h>

static inline double bus_clock(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

#endif
