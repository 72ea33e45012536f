#include "engine.h"

#include <dnnl.h>
#include <omp.h>

#include "kernels/isa.h"

struct bus_engine_info bus_engine_info(void)
{
    const dnnl_version_t *version = dnnl_version();
    return (struct bus_engine_info){
        .major = version->major,
        .minor = version->minor,
        .patch = version->patch,
        .isa = bus_isa_name(),
        .int8 = bus_isa_available(BUS_ISA_AVX512_VNNI) ||
                bus_isa_available(BUS_ISA_AVX2_VNNI),
        .bf16 = bus_isa_available(BUS_ISA_AVX512_BF16),
    };
}

int bus_engine_check_threads(int threads, struct bus_error *error)
{
    if (threads >= 1 && threads <= BUS_MAX_THREADS)
        return 0;
    return bus_error_set(error, BUS_ERROR_VALUE, "%d threads are out of range 1..%d",
                         threads, BUS_MAX_THREADS);
}

int bus_engine_set_threads(int threads)
{
    int before = omp_get_max_threads();
    omp_set_num_threads(threads);
    return before;
}
