/* Twenty-four of thirty-two registers hold twelve tiles of thirty-two channels. */
#include "target.h"
#include "winograd_block.h"

BUS_TARGET_BEGIN("avx512f,avx512vl,avx512bw,avx512dq,fma")

#define LANES 16
#define ROWS 12
#include "winograd_body.h"

const struct bus_winograd_kernels bus_winograd_avx512 = {transform, combine};

BUS_TARGET_END
