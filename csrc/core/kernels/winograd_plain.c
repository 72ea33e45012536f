/* For CPUs without AVX2, where it takes a third of the time of direct convolutions. */
#define LANES 4
#define ROWS 4
#include "kernels/winograd_body.h"

const struct bus_kernel bus_winograd_2_plain =
    BUS_WINOGRAD_KERNEL(2, "plain", BUS_ISA_PLAIN);

const struct bus_kernel bus_winograd_4_plain =
    BUS_WINOGRAD_KERNEL(4, "plain", BUS_ISA_PLAIN);
