#include "engine.h"

#include <omp.h>

#include "onednn.h"

static const char *isa_name(dnnl_cpu_isa_t isa)
{
    switch (isa) {
    case dnnl_cpu_isa_sse41:
        return "sse4.1";
    case dnnl_cpu_isa_avx:
        return "avx";
    case dnnl_cpu_isa_avx2:
        return "avx2";
    case dnnl_cpu_isa_avx2_vnni:
        return "avx2_vnni";
    case dnnl_cpu_isa_avx2_vnni_2:
        return "avx2_vnni_2";
    case dnnl_cpu_isa_avx512_core:
        return "avx512_core";
    case dnnl_cpu_isa_avx512_core_vnni:
        return "avx512_core_vnni";
    case dnnl_cpu_isa_avx512_core_bf16:
        return "avx512_core_bf16";
    case dnnl_cpu_isa_avx512_core_fp16:
        return "avx512_core_fp16";
    case dnnl_cpu_isa_avx512_core_amx:
        return "avx512_core_amx";
    case dnnl_cpu_isa_avx512_core_amx_fp16:
        return "avx512_core_amx_fp16";
    default:
        return "unknown";
    }
}

struct bus_engine_info bus_engine_info(void)
{
    const dnnl_version_t *version = dnnl_version();
    return (struct bus_engine_info){
        .major = version->major,
        .minor = version->minor,
        .patch = version->patch,
        .isa = isa_name(dnnl_get_effective_cpu_isa()),
        .int8 = bus_onednn_has(dnnl_cpu_isa_avx512_core_vnni) ||
                bus_onednn_has(dnnl_cpu_isa_avx2_vnni),
        .bf16 = bus_onednn_has(dnnl_cpu_isa_avx512_core_bf16),
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
