#define _POSIX_C_SOURCE 200809L
#include "util.h"

#include <time.h>

double bus_clock(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}
