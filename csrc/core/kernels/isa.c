#include "kernels/isa.h"

#include <dnnl.h>

/* Builds of oneDNN for Arm give their instruction sets the values of x86 ones, so no
 * value means anything on another architecture. */
#if BUS_X86

bool bus_isa_available(enum bus_isa isa)
{
    static const dnnl_cpu_isa_t flags[] = {
        [BUS_ISA_AVX2] = dnnl_cpu_isa_avx2,
        [BUS_ISA_AVX2_VNNI] = dnnl_cpu_isa_avx2_vnni,
        [BUS_ISA_AVX512] = dnnl_cpu_isa_avx512_core,
        [BUS_ISA_AVX512_VNNI] = dnnl_cpu_isa_avx512_core_vnni,
        [BUS_ISA_AVX512_BF16] = dnnl_cpu_isa_avx512_core_bf16,
    };
    const unsigned flag = (unsigned)flags[isa];
    return ((unsigned)dnnl_get_effective_cpu_isa() & flag) == flag;
}

const char *bus_isa_name(void)
{
    switch (dnnl_get_effective_cpu_isa()) {
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

#else

bool bus_isa_available(enum bus_isa isa) { return isa == BUS_ISA_PLAIN; }

const char *bus_isa_name(void) { return "unknown"; }

#endif
