/* The rows of the table of kernels. Of kernels that cost the same the first is chosen:
 * the widest vectors come first. */
#ifndef BUS_ROWS_H
#define BUS_ROWS_H

#if BUS_X86
#define BUS_X86_ROWS(ROW)                                                              \
    ROW(bus_stem_vnni)                                                                 \
    ROW(bus_stem_avx2)                                                                 \
    ROW(bus_winograd_2_avx512)                                                         \
    ROW(bus_winograd_4_avx512)                                                         \
    ROW(bus_winograd_2_avx2)                                                           \
    ROW(bus_winograd_4_avx2)
#else
#define BUS_X86_ROWS(ROW)
#endif

#define BUS_ROWS(ROW)                                                                  \
    BUS_X86_ROWS(ROW)                                                                  \
    ROW(bus_winograd_2_plain)                                                          \
    ROW(bus_winograd_4_plain)                                                          \
    ROW(bus_lesion_pool)

#endif
