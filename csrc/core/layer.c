#include "layer.h"

#include <math.h>

static int check_input(const struct bus_graph *graph, const struct bus_node *node,
                       struct bus_node *completed, struct bus_error *error)
{
    (void)graph;
    (void)completed;
    if (node->channels > BUS_MAX_IMAGE_CHANNELS)
        return bus_error_set(error, BUS_ERROR_VALUE,
                             "input: %lld channels, at most %d are possible",
                             (long long)node->channels, BUS_MAX_IMAGE_CHANNELS);
    for (int64_t c = 0; c < node->channels; c++)
        if (!isfinite(node->mean[c]) || !isfinite(node->std[c]) || node->std[c] <= 0)
            return bus_error_set(
                error, BUS_ERROR_VALUE, "input: channel %lld has mean %g and std %g",
                (long long)c, (double)node->mean[c], (double)node->std[c]);
    return 0;
}

static const struct bus_layer_type layer_input = {
    .name = "input",
    .check = check_input,
};

int bus_layer_check_add(const struct bus_graph *graph, const struct bus_node *node,
                        struct bus_error *error)
{
    if (node->add == BUS_NONE || graph->nodes[node->add].channels == node->channels)
        return 0;
    return bus_error_set(error, BUS_ERROR_VALUE,
                         "%s: it has %lld channels, but the value to add has %lld",
                         node->name, (long long)node->channels,
                         (long long)graph->nodes[node->add].channels);
}

int64_t bus_window_count(int64_t size, const struct bus_node *node)
{
    int64_t room = size + 2 * node->padding - node->kernel;
    if (room < 0)
        return 0;
    return (room + (node->ceil ? node->stride - 1 : 0)) / node->stride + 1;
}

int bus_window_check(const struct bus_node *node, const char *name,
                     struct bus_error *error)
{
    if (node->kernel < 1 || node->kernel > BUS_MAX_KERNEL || node->stride < 1 ||
        node->stride > BUS_MAX_KERNEL || node->padding < 0 ||
        node->padding >= node->kernel)
        return bus_error_set(
            error, BUS_ERROR_VALUE, "%s: kernel %lld, stride %lld, padding %lld", name,
            (long long)node->kernel, (long long)node->stride, (long long)node->padding);
    return 0;
}

int bus_window_infer(struct bus_shape *dst, const struct bus_node *node,
                     const struct bus_shape *src, const struct bus_shape *like,
                     struct bus_error *error)
{
    (void)like;
    dst->h = bus_window_count(src->h, node);
    dst->w = bus_window_count(src->w, node);
    if (dst->h < 1 || dst->w < 1)
        return bus_error_set(
            error, BUS_ERROR_VALUE,
            "%s: its operand of %lld x %lld is smaller than its kernel of %lld",
            node->name != NULL ? node->name : "max_pool", (long long)src->h,
            (long long)src->w, (long long)node->kernel);
    return 0;
}

int bus_pixel_infer(struct bus_shape *dst, const struct bus_node *node,
                    const struct bus_shape *src, const struct bus_shape *like,
                    struct bus_error *error)
{
    (void)node;
    (void)src;
    (void)like;
    (void)error;
    dst->h = dst->w = 1;
    return 0;
}

const struct bus_layer_type *const bus_layer_types[BUS_OP_COUNT] = {
    [BUS_INPUT] = &layer_input,
    [BUS_CONV] = &bus_layer_conv,
    [BUS_MAX_POOL] = &bus_layer_max_pool,
    [BUS_MEAN_POOL] = &bus_layer_mean_pool,
    [BUS_LINEAR] = &bus_layer_linear,
    [BUS_RESIZE] = &bus_layer_resize,
    [BUS_LESION_POOL] = &bus_layer_lesion_pool,
};

_Static_assert(BUS_OP_COUNT == 7, "a new operator needs its row in the table");
