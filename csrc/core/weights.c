#define _POSIX_C_SOURCE 200809L
#include "weights.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "engine.h"
#include "onednn.h"
#include "packing.h"
#include "pages.h"

/* torchvision's batch norms add this to the variance. */
#define NORM_EPSILON 1e-5

enum part { WEIGHT, BIAS, GAMMA, BETA, MEAN, VARIANCE, PART_COUNT };

static const char *const part_names[PART_COUNT] = {
    [WEIGHT] = "weight", [BIAS] = "bias",         [GAMMA] = "weight",
    [BETA] = "bias",     [MEAN] = "running_mean", [VARIANCE] = "running_var",
};

struct packed {
    dnnl_memory_desc_t desc;
    dnnl_memory_t memory;
};

/* The arrays of one node; all pointers lead into the weights' pages. */
struct layer_arrays {
    const struct bus_node *node;
    float *parts[PART_COUNT];
    bool needed[PART_COUNT], set[PART_COUNT];
    size_t numbers; /* of the weight array */
    dnnl_memory_t bias;
    struct packed *packed; /* the layouts there are */
    size_t packed_count;
};

struct bus_weights {
    const struct bus_graph *graph;
    struct layer_arrays *layers; /* one a node; those without weights are empty */
    size_t layer_count;
    struct bus_pages plain;   /* weight arrays as they came, until packed */
    struct bus_pages vectors; /* biases and norms */
    struct bus_pages *blocks; /* of packed weights */
    size_t block_count;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    pthread_mutex_t lock; /* of packed, blocks and the stream */
    int threads;
    bool lock_made, finished;
};

static size_t round_bytes(size_t numbers)
{
    return (numbers * sizeof(float) + BUS_ALIGNMENT - 1) & ~(BUS_ALIGNMENT - 1);
}

/* Counts the bytes of all arrays, then points each layer into them. */
static int lay_out(struct bus_weights *weights, struct bus_error *error)
{
    size_t plain = 0, vectors = 0;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 &&
            (bus_pages_new(&weights->plain, plain, false, "weights", error) < 0 ||
             bus_pages_new(&weights->vectors, vectors, false, "biases", error) < 0))
            return -1;
        plain = vectors = 0;
        for (size_t i = 0; i < weights->layer_count; i++) {
            struct layer_arrays *layer = &weights->layers[i];
            size_t vector;
            if (layer->node == NULL)
                continue;
            if (pass == 1)
                layer->parts[WEIGHT] = (float *)(void *)(weights->plain.data + plain);
            plain += round_bytes(layer->numbers);
            vector = round_bytes((size_t)layer->node->channels);
            for (enum part part = BIAS; part < PART_COUNT; part++) {
                /* The bias is there always: the folded one goes into it. */
                if (part != BIAS && !layer->needed[part])
                    continue;
                if (pass == 1)
                    layer->parts[part] =
                        (float *)(void *)(weights->vectors.data + vectors);
                vectors += vector;
            }
        }
    }
    return 0;
}

int bus_weights_new(struct bus_weights **weights, const struct bus_graph *graph,
                    int threads, struct bus_error *error)
{
    if (bus_engine_check_threads(threads, error) < 0)
        return -1;
    struct bus_weights *made = calloc(1, sizeof *made);
    if (made == NULL)
        return bus_error_memory(error, "weights");
    made->graph = graph;
    made->threads = threads;
    made->layer_count = graph->count;
    made->layers = calloc(graph->count + 1, sizeof *made->layers);
    if (made->layers == NULL) {
        bus_error_memory(error, "weights");
        goto error;
    }
    if (pthread_mutex_init(&made->lock, NULL) != 0) {
        bus_error_memory(error, "a lock");
        goto error;
    }
    made->lock_made = true;
    for (size_t i = 0; i < graph->count; i++) {
        const struct bus_node *node = &graph->nodes[i];
        struct layer_arrays *layer = &made->layers[i];
        int64_t shape[4];
        size_t rank = bus_node_weight_shape(node, shape);
        if (rank == 0)
            continue;
        layer->node = node;
        layer->numbers = 1; /* at most 2^16 * 2^16 * 2^12 by the checks of append */
        for (size_t d = 0; d < rank; d++)
            layer->numbers *= (size_t)shape[d];
        layer->needed[WEIGHT] = true;
        layer->needed[BIAS] = node->bias;
        for (enum part part = GAMMA; part < PART_COUNT; part++)
            layer->needed[part] = node->norm != NULL;
    }
    if (lay_out(made, error) < 0)
        goto error;
    if (bus_onednn_check(dnnl_engine_create(&made->engine, dnnl_cpu, 0), "an engine",
                         error) < 0 ||
        bus_onednn_check(
            dnnl_stream_create(&made->stream, made->engine, dnnl_stream_default_flags),
            "a stream", error) < 0)
        goto error;
    *weights = made;
    return 0;

error:
    bus_weights_free(made);
    return -1;
}

void bus_weights_free(struct bus_weights *weights)
{
    if (weights == NULL)
        return;
    for (size_t i = 0; weights->layers != NULL && i < weights->layer_count; i++) {
        struct layer_arrays *layer = &weights->layers[i];
        for (size_t j = 0; j < layer->packed_count; j++) {
            dnnl_memory_destroy(layer->packed[j].memory);
            dnnl_memory_desc_destroy(layer->packed[j].desc);
        }
        free(layer->packed);
        if (layer->bias != NULL)
            dnnl_memory_destroy(layer->bias);
    }
    free(weights->layers);
    for (size_t i = 0; i < weights->block_count; i++)
        bus_pages_free(&weights->blocks[i]);
    free(weights->blocks);
    bus_pages_free(&weights->plain);
    bus_pages_free(&weights->vectors);
    if (weights->stream != NULL)
        dnnl_stream_destroy(weights->stream);
    if (weights->engine != NULL)
        dnnl_engine_destroy(weights->engine);
    if (weights->lock_made)
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

static struct layer_arrays *find(struct bus_weights *weights, const char *name,
                                 enum part *found)
{
    for (size_t i = 0; i < weights->layer_count; i++) {
        struct layer_arrays *layer = &weights->layers[i];
        for (enum part part = WEIGHT; layer->node != NULL && part < PART_COUNT;
             part++) {
            const char *owner = part < GAMMA ? layer->node->name : layer->node->norm;
            if (layer->needed[part] && is_name(name, owner, part_names[part])) {
                *found = part;
                return layer;
            }
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

static int check_shape(const struct layer_arrays *layer, enum part part,
                       const struct bus_array *array, struct bus_error *error)
{
    int64_t expected[4] = {layer->node->channels};
    size_t rank = part == WEIGHT ? bus_node_weight_shape(layer->node, expected) : 1;
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
    enum part part = WEIGHT;
    struct layer_arrays *layer = find(weights, array->name, &part);
    if (layer == NULL)
        return bus_error_set(error, BUS_ERROR_VALUE,
                             "%s: the network has no such array", array->name);
    if (weights->finished || layer->set[part])
        return bus_error_set(error, BUS_ERROR_VALUE, "%s: it was set before",
                             array->name);
    if (check_shape(layer, part, array, error) < 0)
        return -1;
    size_t rows = (size_t)layer->node->channels;
    size_t columns = part == WEIGHT ? layer->numbers / rows : 1;
    if (!copy_numbers(layer->parts[part], array, rows, columns, weights->threads))
        return bus_error_set(error, BUS_ERROR_VALUE,
                             "%s: it holds numbers that are not finite", array->name);
    if (part == VARIANCE)
        for (size_t i = 0; i < rows; i++)
            if (layer->parts[part][i] < 0.0F)
                return bus_error_set(error, BUS_ERROR_VALUE,
                                     "%s: number %zu is %g, a variance is not negative",
                                     array->name, i, (double)layer->parts[part][i]);
    layer->set[part] = true;
    return 0;
}

/* y = gamma (w x + b - mean) / sqrt(variance + epsilon) + beta, as one w and b. */
static void fold(struct layer_arrays *layer, int threads)
{
    size_t rows = (size_t)layer->node->channels, columns = layer->numbers / rows;
    float **parts = layer->parts;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (size_t row = 0; row < rows; row++) {
        double scale =
            parts[GAMMA][row] / sqrt((double)parts[VARIANCE][row] + NORM_EPSILON);
        double bias = layer->needed[BIAS] ? parts[BIAS][row] : 0.0;
        float *weight = parts[WEIGHT] + row * columns;
        for (size_t i = 0; i < columns; i++)
            weight[i] = (float)(weight[i] * scale);
        parts[BIAS][row] =
            (float)((bias - parts[MEAN][row]) * scale + parts[BETA][row]);
    }
}

int bus_weights_finish(struct bus_weights *weights, struct bus_error *error)
{
    for (size_t i = 0; i < weights->layer_count; i++) {
        const struct layer_arrays *layer = &weights->layers[i];
        for (enum part part = WEIGHT; layer->node != NULL && part < PART_COUNT; part++)
            if (layer->needed[part] && !layer->set[part])
                return bus_error_set(
                    error, BUS_ERROR_VALUE, "%s.%s: the array is missing",
                    part < GAMMA ? layer->node->name : layer->node->norm,
                    part_names[part]);
    }
    if (weights->finished)
        return bus_error_set(error, BUS_ERROR_VALUE,
                             "the weights are finished already");
    for (size_t i = 0; i < weights->layer_count; i++)
        if (weights->layers[i].node != NULL && weights->layers[i].node->norm != NULL)
            fold(&weights->layers[i], weights->threads);
    weights->finished = true;
    return 0;
}

bool bus_weights_finished(const struct bus_weights *weights)
{
    return weights->finished;
}

dnnl_engine_t bus_weights_engine(const struct bus_weights *weights)
{
    return weights->engine;
}

static const struct packed *find_packed(const struct layer_arrays *layer,
                                        const_dnnl_memory_desc_t desc)
{
    for (size_t i = 0; i < layer->packed_count; i++)
        if (dnnl_memory_desc_equal(layer->packed[i].desc, desc))
            return &layer->packed[i];
    return NULL;
}

static int plain_desc(dnnl_memory_desc_t *desc, const struct layer_arrays *layer,
                      struct bus_error *error)
{
    int64_t shape[4];
    size_t rank = bus_node_weight_shape(layer->node, shape);
    const dnnl_dims_t dims = {shape[0], shape[1], shape[2], shape[3]};
    return bus_onednn_check(
        dnnl_memory_desc_create_with_tag(desc, (int)rank, dims, dnnl_f32,
                                         rank == 4 ? dnnl_oihw : dnnl_ab),
        layer->node->name, error);
}

static int reorder(struct bus_weights *weights, dnnl_memory_t from, dnnl_memory_t to,
                   const char *name, struct bus_error *error)
{
    const_dnnl_memory_desc_t from_desc, to_desc;
    dnnl_primitive_desc_t desc = NULL;
    dnnl_primitive_t primitive = NULL;
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    dnnl_status_t status;

    if ((status = dnnl_memory_get_memory_desc(from, &from_desc)) ||
        (status = dnnl_memory_get_memory_desc(to, &to_desc)) ||
        (status = dnnl_reorder_primitive_desc_create(&desc, from_desc, weights->engine,
                                                     to_desc, weights->engine, NULL)) ||
        (status = dnnl_primitive_create(&primitive, desc)) ||
        (status = dnnl_primitive_execute(primitive, weights->stream, 2, arguments)))
        goto done;
    status = dnnl_stream_wait(weights->stream);

done:
    dnnl_primitive_destroy(primitive);
    dnnl_primitive_desc_destroy(desc);
    return bus_onednn_check(status, name, error);
}

/* Adds a packing of layer in the layout of desc, its numbers at data. */
static int pack(struct bus_weights *weights, struct layer_arrays *layer,
                const_dnnl_memory_desc_t desc, char *data, struct bus_error *error)
{
    const char *name = layer->node->name;
    dnnl_memory_desc_t from_desc = NULL;
    dnnl_memory_t from = NULL, plain = NULL;
    struct packed made = {0};
    struct packed *grown =
        realloc(layer->packed, (layer->packed_count + 1) * sizeof *grown);
    if (grown == NULL)
        return bus_error_memory(error, "packed weights");
    layer->packed = grown;
    if (layer->packed_count != 0) {
        from = layer->packed[0].memory;
    } else {
        if (plain_desc(&from_desc, layer, error) < 0)
            goto error;
        if (bus_onednn_check(dnnl_memory_create(&plain, from_desc, weights->engine,
                                                layer->parts[WEIGHT]),
                             name, error) < 0)
            goto error;
        from = plain;
    }
    if (bus_onednn_check(dnnl_memory_desc_clone(&made.desc, desc), name, error) < 0 ||
        bus_onednn_check(dnnl_memory_create(&made.memory, desc, weights->engine, data),
                         name, error) < 0 ||
        reorder(weights, from, made.memory, name, error) < 0)
        goto error;
    layer->packed[layer->packed_count++] = made;
    if (plain != NULL)
        bus_pages_release(&weights->plain, layer->parts[WEIGHT],
                          layer->numbers * sizeof(float));
    dnnl_memory_destroy(plain);
    dnnl_memory_desc_destroy(from_desc);
    return 0;

error:
    if (made.memory != NULL)
        dnnl_memory_destroy(made.memory);
    dnnl_memory_desc_destroy(made.desc);
    dnnl_memory_destroy(plain);
    dnnl_memory_desc_destroy(from_desc);
    return -1;
}

static int make_bias(struct bus_weights *weights, struct layer_arrays *layer,
                     struct bus_error *error)
{
    const dnnl_dims_t dims = {layer->node->channels};
    dnnl_memory_desc_t desc = NULL;
    if (layer->bias != NULL)
        return 0;
    if (bus_onednn_check(
            dnnl_memory_desc_create_with_tag(&desc, 1, dims, dnnl_f32, dnnl_a),
            layer->node->name, error) < 0)
        return -1;
    int result = bus_onednn_check(
        dnnl_memory_create(&layer->bias, desc, weights->engine, layer->parts[BIAS]),
        layer->node->name, error);
    dnnl_memory_desc_destroy(desc);
    return result;
}

static size_t packed_bytes(const_dnnl_memory_desc_t desc)
{
    return (dnnl_memory_desc_get_size(desc) + BUS_ALIGNMENT - 1) & ~(BUS_ALIGNMENT - 1);
}

/* Adds a block that has room for all demands that are not met yet. */
static int add_block(struct bus_weights *weights, const struct bus_packing *packings,
                     size_t count, struct bus_error *error)
{
    size_t bytes = 0;
    struct bus_pages *grown;
    for (size_t i = 0; i < count; i++)
        if (find_packed(&weights->layers[packings[i].node], packings[i].desc) == NULL)
            bytes += packed_bytes(packings[i].desc);
    grown = realloc(weights->blocks, (weights->block_count + 1) * sizeof *grown);
    if (grown == NULL)
        return bus_error_memory(error, "packed weights");
    weights->blocks = grown;
    if (bus_pages_new(&grown[weights->block_count], bytes, true, "packed weights",
                      error) < 0)
        return -1;
    weights->block_count++;
    return 0;
}

static int pack_all(struct bus_weights *weights, struct bus_packing *packings,
                    size_t count, struct bus_error *error)
{
    size_t used = 0;
    if (add_block(weights, packings, count, error) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        struct bus_packing *packing = &packings[i];
        struct layer_arrays *layer = &weights->layers[packing->node];
        const struct packed *packed = find_packed(layer, packing->desc);
        if (packed == NULL) {
            char *data = weights->blocks[weights->block_count - 1].data + used;
            if (pack(weights, layer, packing->desc, data, error) < 0)
                return -1;
            used += packed_bytes(packing->desc);
            packed = &layer->packed[layer->packed_count - 1];
        }
        if (make_bias(weights, layer, error) < 0)
            return -1;
        packing->weights = packed->memory;
        packing->bias = layer->bias;
    }
    return 0;
}

int bus_weights_pack(struct bus_weights *weights, struct bus_packing *packings,
                     size_t count, struct bus_error *error)
{
    pthread_mutex_lock(&weights->lock);
    int result = pack_all(weights, packings, count, error);
    pthread_mutex_unlock(&weights->lock);
    return result;
}
