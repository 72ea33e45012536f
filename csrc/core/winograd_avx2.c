/* Twelve of sixteen registers hold six tiles of sixteen channels. */
#pragma GCC target("avx2,fma")
#define LANES 8
#define ROWS 6
#include "winograd_body.h"

const struct bus_winograd_kernels bus_winograd_avx2 = {transform, combine};
