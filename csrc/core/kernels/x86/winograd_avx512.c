/* Twenty-four of thirty-two registers hold twelve tiles of thirty-two channels. */
#include "kernels/target.h"
#include "kernels/winograd.h"

BUS_TARGET_BEGIN("avx512f,avx512vl,avx512bw,avx512dq,fma")

#define LANES 16
#define ROWS 12
#include "kernels/winograd_body.h"

const struct bus_kernel bus_winograd_2_avx512 =
    BUS_WINOGRAD_KERNEL(2, "avx512", BUS_ISA_AVX512);

const struct bus_kernel bus_winograd_4_avx512 =
    BUS_WINOGRAD_KERNEL(4, "avx512", BUS_ISA_AVX512);

BUS_TARGET_END
