#define _POSIX_C_SOURCE 200809L
#include "weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "engine.h"
#include "onednn.h"
#include "packed_cache.h"
#include "util.h"
#include "weights_int8.h"
#include "weights_internal.h"

/* torchvision's batch norms add this to the variance. */
#define NORM_EPSILON 1e-5

static const char *const part_names[BUS_PART_COUNT] = {
    [BUS_WEIGHT] = "weight",
    [BUS_BIAS] = "bias",
    [BUS_GAMMA] = "weight",
    [BUS_BETA] = "bias",
    [BUS_MEAN] = "running_mean",
    [BUS_VARIANCE] = "running_var",
    [BUS_OUTPUT_SCALE] = "output_scale",
    [BUS_INPUT_MEAN] = "input_mean",
};

/* Name before that of the part: the norm's, or the layer's. */
static const char *owner(const struct bus_node *node, enum bus_part part)
{
    return part >= BUS_GAMMA && part <= BUS_VARIANCE ? node->norm : node->name;
}

/* Numbers of a part that is a vector. */
static int64_t vector_length(const struct bus_node *node, enum bus_part part)
{
    return part == BUS_OUTPUT_SCALE ? 1
           : part == BUS_INPUT_MEAN ? node->src_channels
                                    : node->channels;
}

static size_t round_bytes(size_t numbers)
{
    return bus_round_up(numbers * sizeof(float), BUS_ALIGNMENT);
}

/* Counts the bytes of all arrays, then points each layer into them. */
static int lay_out(struct bus_weights *weights, struct bus_error *error)
{
    size_t plain = 0, vectors = 0;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 &&
            (bus_pages_new(&weights->plain, plain, "weights", error) < 0 ||
             bus_pages_new(&weights->vectors, vectors, "biases", error) < 0))
            return -1;
        plain = vectors = 0;
        for (size_t i = 0; i < weights->layer_count; i++) {
            struct bus_layer_arrays *layer = &weights->layers[i];
            if (layer->node == NULL)
                continue;
            if (pass == 1)
                layer->parts[BUS_WEIGHT] =
                    (float *)(void *)(weights->plain.data + plain);
            plain += round_bytes(layer->count);
            for (enum bus_part part = BUS_BIAS; part < BUS_PART_COUNT; part++) {
                /* There is always a bias: the folded one goes into it. */
                if (part != BUS_BIAS && !layer->needed[part])
                    continue;
                if (pass == 1)
                    layer->parts[part] =
                        (float *)(void *)(weights->vectors.data + vectors);
                vectors += round_bytes((size_t)vector_length(layer->node, part));
            }
            if (!layer->needed[BUS_OUTPUT_SCALE])
                continue;
            if (pass == 1)
                layer->scales = (float *)(void *)(weights->vectors.data + vectors);
            vectors += round_bytes((size_t)layer->node->channels);
        }
    }
    return 0;
}

/* Notes which arrays a node has. */
static void begin_layer(struct bus_layer_arrays *layer, const struct bus_node *node,
                        enum bus_precision precision)
{
    int64_t shape[4];
    const size_t rank = bus_node_weight_shape(node, shape);
    if (rank == 0)
        return;
    layer->node = node;
    layer->count = 1; /* at most 2^16 * 2^16 * 2^12 by the checks of append */
    for (size_t d = 0; d < rank; d++)
        layer->count *= (size_t)shape[d];
    layer->retained = bus_kernel_any(node, precision);
    layer->kernel = bus_kernel_adapting(node, precision);
    layer->needed[BUS_WEIGHT] = true;
    layer->needed[BUS_BIAS] = node->bias;
    for (enum bus_part part = BUS_GAMMA; part <= BUS_VARIANCE; part++)
        layer->needed[part] = node->norm != NULL;
    layer->needed[BUS_OUTPUT_SCALE] = layer->needed[BUS_INPUT_MEAN] =
        precision == BUS_INT8 && node->op == BUS_CONV;
}

static int allocate_layers(struct bus_weights *weights, struct bus_error *error)
{
    const size_t count = weights->layer_count + 1;
    weights->layers = calloc(count, sizeof *weights->layers);
    if (weights->precision == BUS_INT8)
        weights->quants = calloc(count, sizeof *weights->quants);
    if (weights->layers == NULL ||
        (weights->precision == BUS_INT8 && weights->quants == NULL))
        return bus_error_memory(error, "weights");
    for (size_t i = 0; i < weights->layer_count; i++)
        begin_layer(&weights->layers[i], &weights->graph->nodes[i], weights->precision);
    return lay_out(weights, error);
}

static int create_engine(struct bus_weights *weights, struct bus_error *error)
{
    if (bus_onednn_check(dnnl_engine_create(&weights->engine, dnnl_cpu, 0), "an engine",
                         error) < 0)
        return -1;
    return bus_onednn_check(dnnl_stream_create(&weights->stream, weights->engine,
                                               dnnl_stream_default_flags),
                            "a stream", error);
}

int bus_weights_new(struct bus_weights **weights, const struct bus_graph *graph,
                    int threads, enum bus_precision precision, struct bus_error *error)
{
    if (bus_engine_check_threads(threads, error) < 0)
        return -1;
    if (precision == BUS_BF16 && !bus_engine_info().bf16)
        return bus_error_set(error, BUS_ERROR_VALUE,
                             "this CPU does not compute in bfloat16");
    struct bus_weights *created = calloc(1, sizeof *created);
    if (created == NULL)
        return bus_error_memory(error, "weights");
    created->graph = graph;
    created->threads = threads;
    created->precision = precision;
    created->layer_count = graph->count;
    if (pthread_mutex_init(&created->lock, NULL) != 0) {
        bus_error_memory(error, "a lock");
        goto error;
    }
    created->has_lock = true;
    if (allocate_layers(created, error) < 0 || create_engine(created, error) < 0)
        goto error;
    *weights = created;
    return 0;

error:
    bus_weights_free(created);
    return -1;
}

void bus_weights_free(struct bus_weights *weights)
{
    if (weights == NULL)
        return;
    for (size_t i = 0; weights->layers != NULL && i < weights->layer_count; i++) {
        struct bus_layer_arrays *layer = &weights->layers[i];
        for (size_t j = 0; j < layer->packed_count; j++) {
            dnnl_memory_destroy(layer->packed[j].memory);
            dnnl_memory_desc_destroy(layer->packed[j].desc);
        }
        free(layer->packed);
        if (layer->bias != NULL)
            dnnl_memory_destroy(layer->bias);
        if (layer->scale != NULL)
            dnnl_memory_destroy(layer->scale);
    }
    free(weights->layers);
    free(weights->quants);
    free(weights->cache);
    for (size_t i = 0; i < weights->block_count; i++)
        bus_pages_free(&weights->blocks[i]);
    free(weights->blocks);
    bus_pages_free(&weights->plain);
    bus_pages_free(&weights->vectors);
    if (weights->stream != NULL)
        dnnl_stream_destroy(weights->stream);
    if (weights->engine != NULL)
        dnnl_engine_destroy(weights->engine);
    if (weights->has_lock)
        pthread_mutex_destroy(&weights->lock);
    free(weights);
}

/* True if name is the layer's or norm's name, a dot, and the part's name. */
static bool is_name(const char *name, const char *layer, const char *part)
{
    size_t length = layer != NULL ? strlen(layer) : 0;
    return layer != NULL && strncmp(name, layer, length) == 0 && name[length] == '.' &&
           strcmp(name + length + 1, part) == 0;
}

static struct bus_layer_arrays *find(struct bus_weights *weights, const char *name,
                                     enum bus_part *match)
{
    for (size_t i = 0; i < weights->layer_count; i++) {
        struct bus_layer_arrays *layer = &weights->layers[i];
        for (enum bus_part part = BUS_WEIGHT;
             layer->node != NULL && part < BUS_PART_COUNT; part++)
            if (layer->needed[part] &&
                is_name(name, owner(layer->node, part), part_names[part])) {
                *match = part;
                return layer;
            }
    }
    return NULL;
}

static void format_shape(char text[80], const int64_t *shape, size_t rank)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < rank && used < 60; i++)
        used += (size_t)snprintf(text + used, 80 - used, "%s%lld", i != 0 ? ", " : "",
                                 (long long)shape[i]);
}

static int check_shape(const struct bus_layer_arrays *layer, enum bus_part part,
                       const struct bus_array *array, struct bus_error *error)
{
    int64_t expected[4] = {vector_length(layer->node, part)};
    size_t rank = part == BUS_WEIGHT ? bus_node_weight_shape(layer->node, expected) : 1;
    bool same = array->rank == rank;
    char got_text[80], expected_text[80];
    for (size_t i = 0; same && i < rank; i++)
        same = array->shape[i] == expected[i];
    if (same)
        return 0;
    format_shape(got_text, array->shape, array->rank);
    format_shape(expected_text, expected, rank);
    return bus_error_set(error, BUS_ERROR_VALUE, "%s: it is (%s), expected (%s)",
                         array->name, got_text, expected_text);
}

/* Copies rows of numbers each with a scale, and tells whether all came out finite. */
static bool copy_numbers(float *dst, const struct bus_array *array, size_t rows,
                         size_t columns, int threads)
{
    int finite = 1;
#pragma omp parallel for reduction(& : finite) schedule(static) num_threads(threads)
    for (size_t row = 0; row < rows; row++) {
        float *to = dst + row * columns;
        /* Summing x - x finds any NaN or infinity without a branch a number. */
        float sum = 0.0F;
        if (array->floats != NULL) {
            const float *from = array->floats + row * columns;
            for (size_t i = 0; i < columns; i++) {
                to[i] = from[i];
                sum += from[i] - from[i];
            }
        } else {
            const signed char *from = array->bytes + row * columns;
            const float scale = array->scales[row];
            for (size_t i = 0; i < columns; i++)
                to[i] = scale * (float)from[i];
            sum = scale * 127.0F;
            sum -= sum;
        }
        finite &= sum == 0.0F;
    }
    return finite != 0;
}

int bus_weights_set(struct bus_weights *weights, const struct bus_array *array,
                    struct bus_error *error)
{
    enum bus_part part = BUS_WEIGHT;
    struct bus_layer_arrays *layer = find(weights, array->name, &part);
    if (layer == NULL)
        return bus_error_set(error, BUS_ERROR_VALUE,
                             "%s: the network has no such array", array->name);
    if (weights->finished || layer->set[part])
        return bus_error_set(error, BUS_ERROR_VALUE, "%s: it was set before",
                             array->name);
    if (check_shape(layer, part, array, error) < 0)
        return -1;
    size_t rows = (size_t)array->shape[0];
    size_t columns = part == BUS_WEIGHT ? layer->count / rows : 1;
    if (!copy_numbers(layer->parts[part], array, rows, columns, weights->threads))
        return bus_error_set(error, BUS_ERROR_VALUE,
                             "%s: it holds numbers that are not finite", array->name);
    if (part == BUS_VARIANCE)
        for (size_t i = 0; i < rows; i++)
            if (layer->parts[part][i] < 0.0F)
                return bus_error_set(error, BUS_ERROR_VALUE,
                                     "%s: number %zu is %g, a variance is not negative",
                                     array->name, i, (double)layer->parts[part][i]);
    if (part == BUS_OUTPUT_SCALE && !(layer->parts[part][0] > 0.0F))
        return bus_error_set(error, BUS_ERROR_VALUE, "%s: %g is no scale", array->name,
                             (double)layer->parts[part][0]);
    layer->set[part] = true;
    return 0;
}

/* y = gamma (w x + b - mean) / sqrt(variance + epsilon) + beta, as one w and b. */
static void fold(struct bus_layer_arrays *layer, int threads)
{
    size_t rows = (size_t)layer->node->channels, columns = layer->count / rows;
    float **parts = layer->parts;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (size_t row = 0; row < rows; row++) {
        double scale = parts[BUS_GAMMA][row] /
                       sqrt((double)parts[BUS_VARIANCE][row] + NORM_EPSILON);
        double bias = layer->needed[BUS_BIAS] ? parts[BUS_BIAS][row] : 0.0;
        float *weight = parts[BUS_WEIGHT] + row * columns;
        for (size_t i = 0; i < columns; i++)
            weight[i] = (float)(weight[i] * scale);
        parts[BUS_BIAS][row] =
            (float)((bias - parts[BUS_MEAN][row]) * scale + parts[BUS_BETA][row]);
    }
}

int bus_weights_finish(struct bus_weights *weights, struct bus_error *error)
{
    for (size_t i = 0; i < weights->layer_count; i++) {
        const struct bus_layer_arrays *layer = &weights->layers[i];
        for (enum bus_part part = BUS_WEIGHT;
             layer->node != NULL && part < BUS_PART_COUNT; part++)
            if (layer->needed[part] && !layer->set[part])
                return bus_error_set(error, BUS_ERROR_VALUE,
                                     "%s.%s: the array is missing",
                                     owner(layer->node, part), part_names[part]);
    }
    if (weights->finished)
        return bus_error_set(error, BUS_ERROR_VALUE,
                             "the weights are finished already");
    if (weights->quants != NULL && bus_weights_choose_quants(weights, error) < 0)
        return -1;
    for (size_t i = 0; i < weights->layer_count; i++)
        if (weights->layers[i].node != NULL && weights->layers[i].node->norm != NULL)
            fold(&weights->layers[i], weights->threads);
    if (weights->quants != NULL) {
        bus_weights_mark_quantized(weights);
        bus_weights_round(weights);
    }
    weights->finished = true;
    if (weights->cache != NULL)
        bus_packed_cache_write_vectors(weights);
    return 0;
}

bool bus_weights_finished(const struct bus_weights *weights)
{
    return weights->finished;
}

enum bus_precision bus_weights_precision(const struct bus_weights *weights)
{
    return weights->precision;
}
