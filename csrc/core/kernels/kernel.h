/* Kernels of our own, for what oneDNN does not have or computes more slowly.
 *
 * A kernel is a row of the table in rows.h. The rest of the core knows rows, and no
 * kernel by its name: weights are made for a row, plans choose rows by cost, pack
 * weights for them and run them. */
#ifndef BUS_KERNEL_H
#define BUS_KERNEL_H

#include <dnnl.h>

#include "graph.h"
#include "kernels/isa.h"
#include "kernels/rows.h"
#include "quantize.h"
#include "weights.h"

/* An activation that a kernel reads or writes, nhwc. */
struct bus_tensor {
    void *data;
    struct bus_shape shape;
    dnnl_data_type_t type; /* f32, bf16, or u8 where quant.quantized */
    struct bus_quant quant;
};

/* A layer to compute. */
struct bus_kernel_call {
    const struct bus_node *node, *input; /* the layer, and the network's input */
    struct bus_tensor src, logits, dst;  /* logits: of a lesion_pool */
    const void *weights;                 /* as the kernel packed them */
    const float *bias, *scales;          /* scales: NULL where weights are floats */
    void *scratch;                       /* 64-byte aligned */
    int threads;
};

/* Weights of a layer as they are set, in rows of one result channel. */
struct bus_kernel_weights {
    const void *rows; /* float, or signed char in BUS_INT8 */
    size_t stride;    /* bytes from a row to the next */
};

/* Folded numbers of a layer, before they are rounded to 8 bits. */
struct bus_kernel_numbers {
    float *weights, *bias;
    float *input_mean; /* mean of each channel of the source */
};

struct bus_kernel {
    const char *name;    /* "winograd 4 avx2" */
    enum bus_isa isa;    /* instruction set that it needs */
    const void *variant; /* what differs between kernels of the same functions */

    /* Whether it computes such a node in that precision. */
    bool (*admits)(const struct bus_node *node, enum bus_precision precision);
    /* Multiplications for each pair of channels. A call's data is not there yet. */
    size_t (*cost)(const struct bus_kernel *kernel, const struct bus_kernel_call *call);

    /* Weights; all NULL where a kernel has none. Kernels that name the same layout
     * share packed weights. */
    const char *layout;
    size_t (*weight_size)(const struct bus_kernel *kernel, const struct bus_node *node);
    void (*pack)(const struct bus_kernel *kernel, void *dst,
                 const struct bus_kernel_weights *weights, const struct bus_node *node,
                 int threads);

    /* Changes a layer's numbers to those for a source as the kernel reads it. A layer
     * whose numbers were changed is computed by this kernel only. NULL: none are. */
    void (*adapt)(struct bus_kernel_numbers *numbers, const struct bus_node *node,
                  const struct bus_node *input);
    int max_weight; /* with adapt: largest weight for which sums are exact */

    /* Bytes of scratch memory. A call's data is not there yet. */
    size_t (*scratch)(const struct bus_kernel *kernel,
                      const struct bus_kernel_call *call);
    /* Computes dst, the same bits for any number of threads. Where the node has an add,
     * dst holds what is added. */
    void (*run)(const struct bus_kernel *kernel, const struct bus_kernel_call *call);
};

/* One weight load costs about 15 multiplications. */
#define BUS_WEIGHT_LOAD_COST ((size_t)15)

/* A cost above that of every kernel. */
#define BUS_COST_MAX SIZE_MAX

#define BUS_DECLARE_ROW(name) extern const struct bus_kernel name;
BUS_ROWS(BUS_DECLARE_ROW)

/* Kernels that were built, whether this CPU has their instruction sets or not. */
extern const struct bus_kernel *const bus_kernels[];
extern const size_t bus_kernel_count;

/* Cost of a convolution computed directly, as oneDNN does; 0 for other operators. */
size_t bus_kernel_direct_cost(const struct bus_kernel_call *call);

/* The cheapest kernel that admits a layer and costs less than max_cost, the first of
 * equal ones; NULL where there is none. */
const struct bus_kernel *bus_kernel_choose(const struct bus_kernel_call *call,
                                           enum bus_precision precision,
                                           size_t max_cost);

/* Whether any kernel may compute a node, for some shape. */
bool bus_kernel_any(const struct bus_node *node, enum bus_precision precision);

/* The kernel that a node's numbers are adapted for when weights are finished; NULL
 * where they stay what they are. */
const struct bus_kernel *bus_kernel_adapting(const struct bus_node *node,
                                             enum bus_precision precision);

#endif
