/* Twelve of sixteen registers hold six tiles of sixteen channels. */
#pragma GCC target("avx2,fma")
#define LANES 8
#define ROWS 6
#include "winograd_body.h"

void bus_winograd_avx2(BUS_WINOGRAD_ARGUMENTS)
{
    compute(plan, dst, src, weights, bias, scratch, first, last);
}
