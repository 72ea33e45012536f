/* Instruction sets of this CPU that the kernels are written for. */
#ifndef BUS_ISA_H
#define BUS_ISA_H

#include <stdbool.h>

/* The files in kernels/x86 are built for this architecture alone. */
#ifdef __x86_64__
#define BUS_X86 1
#else
#define BUS_X86 0
#endif

enum bus_isa {
    BUS_ISA_PLAIN, /* C alone, on any CPU */
    BUS_ISA_AVX2,
    BUS_ISA_AVX2_VNNI,
    BUS_ISA_AVX512,
    BUS_ISA_AVX512_VNNI,
    BUS_ISA_AVX512_BF16,
};

/* Whether the CPU has an instruction set and oneDNN uses it, too. */
bool bus_isa_available(enum bus_isa isa);

/* Name of the best instruction set that oneDNN uses. */
const char *bus_isa_name(void);

#endif
