/* For CPUs without AVX2, and what the other kernels are compared with. */
#define LANES 4
#define ROWS 4
#include "winograd_body.h"

const struct bus_winograd_kernels bus_winograd_plain = {transform, combine};
