/* For CPUs without AVX2, and what the other kernels are compared with. */
#define LANES 4
#define ROWS 4
#include "winograd_body.h"

void bus_winograd_plain(BUS_WINOGRAD_ARGUMENTS)
{
    compute(plan, dst, src, weights, bias, scratch, first, last);
}
