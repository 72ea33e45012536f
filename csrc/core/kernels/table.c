#include "kernels/kernel.h"

#define ADDRESS(name) &name,

const struct bus_kernel *const bus_kernels[] = {BUS_ROWS(ADDRESS)};

const size_t bus_kernel_count = sizeof bus_kernels / sizeof *bus_kernels;

static bool admits(const struct bus_kernel *kernel, const struct bus_node *node,
                   enum bus_precision precision)
{
    return bus_isa_available(kernel->isa) && kernel->admits(node, precision);
}

size_t bus_kernel_direct_cost(const struct bus_kernel_call *call)
{
    const struct bus_shape *dst = &call->dst.shape;
    if (call->node->op != BUS_CONV)
        return 0;
    /* A weight is multiplied once a pixel, and loaded once. */
    return (size_t)(call->node->kernel * call->node->kernel) *
           ((size_t)(dst->n * dst->h * dst->w) + BUS_WEIGHT_LOAD_COST);
}

const struct bus_kernel *bus_kernel_choose(const struct bus_kernel_call *call,
                                           enum bus_precision precision,
                                           size_t max_cost)
{
    const struct bus_kernel *best = NULL;
    for (size_t i = 0; i < bus_kernel_count; i++) {
        const struct bus_kernel *kernel = bus_kernels[i];
        if (!admits(kernel, call->node, precision))
            continue;
        const size_t cost = kernel->cost(kernel, call);
        if (cost < max_cost) {
            max_cost = cost;
            best = kernel;
        }
    }
    return best;
}

bool bus_kernel_any(const struct bus_node *node, enum bus_precision precision)
{
    for (size_t i = 0; i < bus_kernel_count; i++)
        if (admits(bus_kernels[i], node, precision))
            return true;
    return false;
}

const struct bus_kernel *bus_kernel_adapting(const struct bus_node *node,
                                             enum bus_precision precision)
{
    for (size_t i = 0; i < bus_kernel_count; i++)
        if (bus_kernels[i]->adapt != NULL && admits(bus_kernels[i], node, precision))
            return bus_kernels[i];
    return NULL;
}
