/* The table of kernels: what its rows promise, and how one is chosen. */
#include "check.h"
#include "kernels/kernel.h"

#include <string.h>

/* Nodes of which at least one is admitted by each kernel. */
static const struct bus_node samples[] = {
    {.op = BUS_CONV,
     .src = 1,
     .add = BUS_NONE,
     .channels = 64,
     .src_channels = 64,
     .kernel = 3,
     .stride = 1,
     .padding = 1},
    {.op = BUS_CONV,
     .src = 0,
     .add = BUS_NONE,
     .channels = 64,
     .src_channels = 1,
     .kernel = 7,
     .stride = 2,
     .padding = 3,
     .relu = true},
    {.op = BUS_LESION_POOL, .src = 1, .logits = 2, .channels = 66, .src_channels = 64},
};

#define SAMPLES (sizeof samples / sizeof *samples)

static struct bus_kernel_call call_of(const struct bus_node *node, int64_t n,
                                      int64_t side)
{
    return (struct bus_kernel_call){
        .node = node,
        .src.shape = {n, node->src_channels, side, side},
        .dst.shape = {n, node->channels, side, side},
        .threads = 1,
    };
}

static bool is_admitted(const struct bus_kernel *kernel)
{
    bool admitted = false;
    for (size_t i = 0; i < SAMPLES; i++)
        for (int precision = BUS_F32; precision <= BUS_INT8; precision++)
            admitted =
                admitted || kernel->admits(&samples[i], (enum bus_precision)precision);
    return admitted;
}

static void test_rows(void)
{
    for (size_t i = 0; i < bus_kernel_count; i++) {
        const struct bus_kernel *kernel = bus_kernels[i];
        CHECK(kernel->name != NULL && kernel->admits != NULL && kernel->cost != NULL);
        CHECK(kernel->scratch != NULL && kernel->run != NULL);
        CHECK((kernel->layout != NULL) == (kernel->weight_size != NULL));
        CHECK((kernel->layout != NULL) == (kernel->pack != NULL));
        CHECK((kernel->adapt != NULL) == (kernel->max_weight > 0));
        CHECK(is_admitted(kernel));
        for (size_t j = 0; j < i; j++) {
            const struct bus_kernel *other = bus_kernels[j];
            CHECK(strcmp(kernel->name, other->name) != 0);
            /* What shares a layout is packed by the same code. */
            if (kernel->layout != NULL && other->layout != NULL &&
                strcmp(kernel->layout, other->layout) == 0)
                CHECK(kernel->pack == other->pack &&
                      kernel->weight_size(kernel, &samples[0]) ==
                          other->weight_size(other, &samples[0]));
        }
    }
}

static const struct bus_kernel *choose(const struct bus_node *node, int64_t n,
                                       int64_t side)
{
    const struct bus_kernel_call call = call_of(node, n, side);
    return bus_kernel_choose(&call, BUS_F32, bus_kernel_direct_cost(&call));
}

/* The more pixels share the weights, the larger the tiles. */
static void test_choice(void)
{
    static const struct {
        int64_t n, side;
        const char *layout;
    } cases[] = {{1, 1, NULL},          {1, 7, "winograd 2"},  {4, 7, "winograd 4"},
                 {1, 14, "winograd 2"}, {4, 14, "winograd 4"}, {1, 56, "winograd 4"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct bus_kernel *kernel =
            choose(&samples[0], cases[i].n, cases[i].side);
        CHECK((kernel != NULL) == (cases[i].layout != NULL));
        CHECK(kernel == NULL || strcmp(kernel->layout, cases[i].layout) == 0);
        /* It is of the best instruction set. */
        for (size_t j = 0; kernel != NULL && j < bus_kernel_count; j++)
            if (bus_isa_available(bus_kernels[j]->isa) &&
                bus_kernels[j]->layout != NULL &&
                strcmp(bus_kernels[j]->layout, kernel->layout) == 0)
                CHECK(bus_kernels[j]->isa <= kernel->isa);
    }
    struct bus_kernel_call call = call_of(&samples[0], 1, 56);
    CHECK(bus_kernel_choose(&call, BUS_F32, 1) == NULL); /* nothing costs less */
    CHECK(bus_kernel_choose(&call, BUS_EXACT, BUS_COST_MAX) == NULL);
    /* Other operators' kernels are whatever the caller left there. */
    const struct bus_node mean = {.op = BUS_MEAN_POOL, .kernel = INT64_MIN};
    call = call_of(&mean, 1, 56);
    CHECK(bus_kernel_direct_cost(&call) == 0);
    CHECK(bus_kernel_any(&samples[0], BUS_F32));
    CHECK(!bus_kernel_any(&samples[0], BUS_EXACT));
    CHECK(!bus_kernel_any(&samples[1], BUS_F32));
    CHECK(bus_kernel_adapting(&samples[0], BUS_F32) == NULL);
}

void test_kernels(void)
{
    test_rows();
    test_choice();
}
