/* Twelve of sixteen registers hold six tiles of sixteen channels. */
#include "target.h"
#include "winograd_block.h"

BUS_TARGET_BEGIN("avx2,fma")

#define LANES 8
#define ROWS 6
#include "winograd_body.h"

const struct bus_winograd_kernels bus_winograd_avx2 = {transform, combine};

BUS_TARGET_END
