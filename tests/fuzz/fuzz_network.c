/* Any graph, any arrays, any input size: refused with a reason, or computed. */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "input.h"
#include "plan.h"

#define MAX_NODES 12
#define MAX_NUMBERS (1 << 16)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void append(struct input *input, struct bus_graph *graph, int index)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f",
                                        "g", "h", "i", "j", "k", "l"};
    static const char *const norms[] = {"na", "nb", "nc", "nd", "ne", "nf",
                                        "ng", "nh", "ni", "nj", "nk", "nl"};
    struct bus_error error = {0};
    struct bus_node node = {.op = (enum bus_op)take_up_to(input, BUS_OP_COUNT)};
    const uint8_t flags = take_byte(input);
    int value;
    if (index == 0 && (flags & 0x80) == 0)
        node.op = BUS_INPUT;
    node.name = (char *)(uintptr_t)names[index];
    if ((flags & 1) != 0 && node.op == BUS_CONV)
        node.norm = (char *)(uintptr_t)norms[index];
    node.bias = (flags & 2) != 0;
    node.relu = (flags & 4) != 0;
    node.ceil = (flags & 8) != 0;
    node.nearest = (flags & 16) != 0;
    node.src = index - 1 - take_up_to(input, 3);
    node.add = (flags & 32) != 0 ? index - 1 - take_up_to(input, 3) : BUS_NONE;
    node.like = index - 1 - take_up_to(input, 3);
    node.logits = index - 1 - take_up_to(input, 3);
    node.channels = take_size(input, node.op == BUS_INPUT ? 4 : 40);
    node.kernel = take_size(input, 4);
    node.stride = take_size(input, 3);
    node.padding = take_size(input, 3);
    if (node.padding > 0)
        node.padding--;
    for (int i = 0; i < BUS_MAX_IMAGE_CHANNELS; i++)
        node.std[i] = (float)take_up_to(input, 4);
    if (bus_graph_append(&value, graph, &node, &error) < 0)
        require(error.code != BUS_OK && error.message[0] != '\0');
}

static void set(struct input *input, struct bus_weights *weights, const char *layer,
                const char *part, size_t rank, const int64_t *shape)
{
    struct bus_error error = {0};
    char name[32];
    size_t count = 1;
    for (size_t i = 0; i < rank; i++) {
        if (shape[i] < 1 || shape[i] > MAX_NUMBERS)
            return;
        count *= (size_t)shape[i];
        if (count > MAX_NUMBERS)
            return;
    }
    const uint8_t start = take_byte(input), how = take_byte(input);
    float *floats = malloc(count * sizeof *floats);
    signed char *bytes = malloc(count);
    float *scales = malloc((size_t)shape[0] * sizeof *scales);
    require(floats != NULL && bytes != NULL && scales != NULL);
    for (size_t i = 0; i < count; i++) {
        bytes[i] = (signed char)(start + 31 * i);
        floats[i] = (float)bytes[i] / 64.0F;
        if (strcmp(part, ".running_var") == 0 && how < 0xf0)
            floats[i] = fabsf(floats[i]);
    }
    for (int64_t i = 0; i < shape[0]; i++)
        scales[i] = (float)(i + 1) / 512.0F;
    if (how == 0xff)
        floats[count - 1] = NAN;
    if (how == 0xfe)
        scales[0] = INFINITY;
    const bool quantized = (how & 1) != 0 && rank > 1;
    struct bus_array array = {.name = name, .rank = rank, .shape = shape};
    if (quantized) {
        array.bytes = bytes;
        array.scales = scales;
    } else {
        array.floats = floats;
    }
    strcpy(name, layer);
    strcat(name, part);
    if (how != 0xfd && bus_weights_set(weights, &array, &error) < 0)
        require(error.code != BUS_OK && error.message[0] != '\0');
    free(scales);
    free(bytes);
    free(floats);
}

static void fill(struct input *input, const struct bus_graph *graph,
                 struct bus_weights *weights)
{
    const int64_t one = 1;
    static const char *const parts[] = {".weight", ".bias", ".running_mean",
                                        ".running_var"};
    for (size_t i = 0; i < graph->count; i++) {
        const struct bus_node *node = &graph->nodes[i];
        int64_t shape[4];
        const size_t rank = bus_node_weight_shape(node, shape);
        if (rank == 0)
            continue;
        set(input, weights, node->name, ".weight", rank, shape);
        if (node->bias || node->op == BUS_LINEAR)
            set(input, weights, node->name, ".bias", 1, shape);
        if (bus_weights_precision(weights) == BUS_INT8 && node->op == BUS_CONV) {
            set(input, weights, node->name, ".output_scale", 1, &one);
            set(input, weights, node->name, ".input_mean", 1, &node->src_channels);
        }
        for (size_t j = 0; node->norm != NULL && j < 4; j++)
            set(input, weights, node->norm, parts[j], 1, shape);
    }
}

static void run(struct bus_plan *plan, const struct bus_plan_options *options,
                int64_t channels)
{
    struct bus_error error = {0};
    float *dst[BUS_MAX_OUTPUTS] = {0};
    const size_t count =
        (size_t)(options->batch * options->height * options->width * channels);
    float *src = malloc(count * sizeof *src);
    require(src != NULL);
    for (size_t i = 0; i < count; i++)
        src[i] = (float)(i % 17) / 16.0F;
    for (size_t i = 0; i < bus_plan_output_count(plan); i++) {
        const struct bus_shape shape = bus_plan_output_shape(plan, i);
        const size_t numbers = (size_t)(shape.n * shape.c * shape.h * shape.w);
        require(numbers > 0);
        dst[i] = malloc(numbers * sizeof(float));
        require(dst[i] != NULL);
    }
    require(bus_plan_run(plan, src, dst, &error) == 0);
    for (size_t i = 0; i < bus_plan_output_count(plan); i++)
        free(dst[i]);
    free(src);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct bus_error error = {0};
    struct bus_graph *graph = NULL;
    struct bus_weights *weights = NULL;
    struct bus_plan *plan = NULL;
    require(bus_graph_new(&graph, &error) == 0);
    const int nodes = 1 + take_up_to(&input, MAX_NODES - 1);
    for (int i = 0; i < nodes; i++)
        append(&input, graph, i);
    const int outputs = take_up_to(&input, 3);
    for (int i = 0; i < outputs; i++) {
        const char name[] = {(char)('x' + i), '\0'};
        bus_graph_output(graph, (int)graph->count - 1 - i, name, &error);
    }
    const uint8_t flags = take_byte(&input);
    const enum bus_precision precision = (enum bus_precision)(flags >> 2) % 4;
    if (bus_weights_new(&weights, graph, 1, precision, &error) < 0) {
        require(precision == BUS_BF16); /* a CPU without it */
        require(bus_weights_new(&weights, graph, 1, BUS_F32, &error) == 0);
    }
    fill(&input, graph, weights);
    if (bus_weights_finish(weights, &error) < 0)
        require(error.message[0] != '\0');
    const struct bus_plan_options options = {
        .batch = take_size(&input, 3),
        .height = take_size(&input, 40),
        .width = take_size(&input, 40),
        .threads = 1,
        .outputs = (flags & 2) != 0 ? take_byte(&input) : 0,
    };
    /* Sizes that are admitted and need gigabytes are another test's. */
    const bool small =
        options.batch < 64 && options.height < 512 && options.width < 512;
    if (small && bus_plan_new(&plan, graph, weights, &options, &error) == 0)
        run(plan, &options, graph->nodes[0].channels);
    bus_plan_free(plan);
    bus_weights_free(weights);
    bus_graph_free(graph);
    return 0;
}
