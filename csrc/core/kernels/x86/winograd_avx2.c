/* Twelve of sixteen registers hold six tiles of sixteen channels. */
#include "kernels/target.h"
#include "kernels/winograd.h"

BUS_TARGET_BEGIN("avx2,fma")

#define LANES 8
#define ROWS 6
#include "kernels/winograd_body.h"

const struct bus_kernel bus_winograd_2_avx2 =
    BUS_WINOGRAD_KERNEL(2, "avx2", BUS_ISA_AVX2);

const struct bus_kernel bus_winograd_4_avx2 =
    BUS_WINOGRAD_KERNEL(4, "avx2", BUS_ISA_AVX2);

BUS_TARGET_END
