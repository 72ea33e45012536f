/* What computes: the oneDNN in this process, and its threads. */
#ifndef BUS_ENGINE_H
#define BUS_ENGINE_H

#include <stdbool.h>

#include "error.h"

#define BUS_MAX_THREADS 1024

struct bus_engine_info {
    int major, minor, patch; /* version of oneDNN */
    const char *isa;         /* instruction set that it will use of this CPU */
    bool bf16;               /* whether it has bfloat16 */
    bool int8; /* whether one instruction sums 8-bit products in 32 bits */
};

struct bus_engine_info bus_engine_info(void);

/* BUS_ERROR_VALUE if threads are not 1 to BUS_MAX_THREADS. */
int bus_engine_check_threads(int threads, struct bus_error *error);

/* Sets the number of threads of the calling thread's parallel regions; returns the
 * number before. */
int bus_engine_set_threads(int threads);

#endif
