/* What computes: the oneDNN in this process, and its threads. */
#ifndef BUS_ENGINE_H
#define BUS_ENGINE_H

#include <stdbool.h>

#include "error.h"

#define BUS_MAX_THREADS 1024

struct bus_engine_info {
    int major, minor, patch; /* version of oneDNN */
    const char *isa;         /* instruction set that it will use of this CPU */
    bool bf16;               /* whether that has bfloat16 */
    bool int8;               /* whether that sums products of 8 bits into 32 at once */
};

struct bus_engine_info bus_engine_info(void);

/* BUS_ERROR_VALUE if threads are not 1 to BUS_MAX_THREADS. */
int bus_engine_check_threads(int threads, struct bus_error *error);

/* Makes the calling thread's parallel regions use so many threads; returns how many it
 * used before. */
int bus_engine_set_threads(int threads);

#endif
