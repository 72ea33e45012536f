#include "packing.h"

#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "onednn.h"
#include "packed_cache.h"
#include "util.h"
#include "weights_internal.h"

dnnl_engine_t bus_weights_engine(const struct bus_weights *weights)
{
    return weights->engine;
}

const struct bus_kernel *bus_weights_kernel(const struct bus_weights *weights, int node)
{
    return weights->layers[node].kernel;
}

const struct bus_quant *bus_weights_quant(const struct bus_weights *weights, int node)
{
    return weights->quants != NULL ? &weights->quants[node] : NULL;
}

static const struct bus_packed *find_packed(const struct bus_layer_arrays *layer,
                                            const struct bus_packing *packing)
{
    for (size_t i = 0; i < layer->packed_count; i++) {
        const struct bus_packed *packed = &layer->packed[i];
        if (packing->kernel != NULL
                ? packed->layout != NULL &&
                      strcmp(packed->layout, packing->kernel->layout) == 0
                : packed->layout == NULL &&
                      dnnl_memory_desc_equal(packed->desc, packing->desc))
            return packed;
    }
    return NULL;
}

static size_t packed_size(const struct bus_weights *weights,
                          const struct bus_packing *packing)
{
    const struct bus_kernel *kernel = packing->kernel;
    if (kernel != NULL)
        return kernel->weight_size(kernel, &weights->graph->nodes[packing->node]);
    return dnnl_memory_desc_get_size(packing->desc);
}

/* Bytes from a packing to the next one in a block. */
static size_t packed_stride(const struct bus_weights *weights,
                            const struct bus_packing *packing)
{
    return bus_round_up(packed_size(weights, packing),
                        weights->cache != NULL ? BUS_PAGE : BUS_ALIGNMENT);
}

/* Integers of a row lie where its floats began. */
static size_t row_stride(const struct bus_layer_arrays *layer)
{
    return layer->count / (size_t)layer->node->channels * sizeof(float);
}

static int plain_desc(dnnl_memory_desc_t *desc, const struct bus_layer_arrays *layer,
                      struct bus_error *error)
{
    int64_t shape[4];
    size_t rank = bus_node_weight_shape(layer->node, shape);
    const dnnl_dims_t dims = {shape[0], shape[1], shape[2], shape[3]};
    if (layer->quantized) {
        const dnnl_dims_t strides = {(dnnl_dim_t)row_stride(layer), shape[2] * shape[3],
                                     shape[3], 1};
        return bus_onednn_check(dnnl_memory_desc_create_with_strides(
                                    desc, (int)rank, dims, dnnl_s8, strides),
                                layer->node->name, error);
    }
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

/* Reorders the layer's weights as they came. */
static int reorder_plain(struct bus_weights *weights,
                         const struct bus_layer_arrays *layer, dnnl_memory_t to,
                         struct bus_error *error)
{
    const char *name = layer->node->name;
    dnnl_memory_desc_t desc = NULL;
    dnnl_memory_t plain = NULL;
    int result = -1;
    if (plain_desc(&desc, layer, error) < 0 ||
        bus_onednn_check(
            dnnl_memory_create(&plain, desc, weights->engine, layer->parts[BUS_WEIGHT]),
            name, error) < 0)
        goto done;
    result = reorder(weights, plain, to, name, error);

done:
    if (plain != NULL)
        dnnl_memory_destroy(plain);
    dnnl_memory_desc_destroy(desc);
    return result;
}

/* Fills a packing of oneDNN's with numbers: from the layer's first one where its array
 * was freed, else from the array. */
static int fill(struct bus_weights *weights, const struct bus_layer_arrays *layer,
                const struct bus_packed *packed, struct bus_error *error)
{
    if (layer->packed_count != 0 && !layer->retained)
        return reorder(weights, layer->packed[0].memory, packed->memory,
                       layer->node->name, error);
    return reorder_plain(weights, layer, packed->memory, error);
}

/* Creates the memory object of a packing of oneDNN's, at its data. */
static int create_memory(const struct bus_weights *weights, struct bus_packed *packed,
                         const struct bus_packing *packing, char *data,
                         struct bus_error *error)
{
    const char *name = weights->graph->nodes[packing->node].name;
    if (bus_onednn_check(dnnl_memory_desc_clone(&packed->desc, packing->desc), name,
                         error) < 0)
        return -1;
    return bus_onednn_check(
        dnnl_memory_create(&packed->memory, packing->desc, weights->engine, data), name,
        error);
}

/* Adds a packing to the layer's, its numbers at data: filled already, or to be filled.
 * The layer's array is freed, unless a later packing may need it. */
static int add_packed(struct bus_weights *weights, const struct bus_packing *packing,
                      char *data, bool filled, int threads, struct bus_error *error)
{
    struct bus_layer_arrays *layer = &weights->layers[packing->node];
    const struct bus_kernel *kernel = packing->kernel;
    struct bus_packed packed = {.data = data};
    struct bus_packed *grown =
        realloc(layer->packed, (layer->packed_count + 1) * sizeof *grown);
    if (grown == NULL)
        return bus_error_memory(error, "packed weights");
    layer->packed = grown;
    if (kernel != NULL) {
        const struct bus_kernel_weights plain = {layer->parts[BUS_WEIGHT],
                                                 row_stride(layer)};
        packed.layout = kernel->layout;
        if (!filled)
            kernel->pack(kernel, data, &plain, layer->node, threads);
    } else if (create_memory(weights, &packed, packing, data, error) < 0 ||
               (!filled && fill(weights, layer, &packed, error) < 0)) {
        if (packed.memory != NULL)
            dnnl_memory_destroy(packed.memory);
        dnnl_memory_desc_destroy(packed.desc);
        return -1;
    }
    layer->packed[layer->packed_count++] = packed;
    if (!layer->retained)
        bus_pages_release(&weights->plain, layer->parts[BUS_WEIGHT],
                          layer->count * sizeof(float));
    return 0;
}

/* Makes the memory objects of a layer's vectors. */
static int create_vectors(struct bus_weights *weights, struct bus_layer_arrays *layer,
                          struct bus_error *error)
{
    const dnnl_dims_t dims = {layer->node->channels};
    dnnl_memory_desc_t desc = NULL;
    dnnl_status_t status = dnnl_success;
    if (layer->bias != NULL)
        return 0;
    if ((status = dnnl_memory_desc_create_with_tag(&desc, 1, dims, dnnl_f32, dnnl_a)) ||
        (layer->quantized && layer->scale == NULL &&
         (status =
              dnnl_memory_create(&layer->scale, desc, weights->engine, layer->scales))))
        goto done;
    status =
        dnnl_memory_create(&layer->bias, desc, weights->engine, layer->parts[BUS_BIAS]);

done:
    dnnl_memory_desc_destroy(desc);
    return bus_onednn_check(status, layer->node->name, error);
}

/* Adds a block that has room for all packings that are not there yet. */
static int add_block(struct bus_weights *weights, const struct bus_packing *packings,
                     size_t count, struct bus_error *error)
{
    size_t bytes = 0;
    struct bus_pages *grown;
    for (size_t i = 0; i < count; i++)
        if (find_packed(&weights->layers[packings[i].node], &packings[i]) == NULL)
            bytes += packed_stride(weights, &packings[i]);
    grown = realloc(weights->blocks, (weights->block_count + 1) * sizeof *grown);
    if (grown == NULL)
        return bus_error_memory(error, "packed weights");
    weights->blocks = grown;
    if (bus_pages_new(&grown[weights->block_count], bytes, "packed weights", error) < 0)
        return -1;
    weights->block_count++;
    return 0;
}

/* Makes a packing at offset in block: from the cache's file, or by packing. */
static int make(struct bus_weights *weights, const struct bus_packing *packing,
                struct bus_pages *block, size_t offset, int threads,
                struct bus_error *error)
{
    const size_t size = packed_size(weights, packing);
    char *data = block->data + offset;
    const bool mapped = bus_packed_cache_map(weights, packing, block, offset, size);
    if (!mapped && weights->cached)
        return bus_error_set(error, BUS_ERROR_ABSENT,
                             "%s: its weights are not in the cache in this layout",
                             weights->graph->nodes[packing->node].name);
    if (add_packed(weights, packing, data, mapped, threads, error) < 0)
        return -1;
    if (!mapped)
        bus_packed_cache_write(weights, packing, data, size);
    return 0;
}

static int pack_all(struct bus_weights *weights, struct bus_packing *packings,
                    size_t count, int threads, struct bus_error *error)
{
    size_t used = 0;
    if (add_block(weights, packings, count, error) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        struct bus_packing *packing = &packings[i];
        struct bus_layer_arrays *layer = &weights->layers[packing->node];
        const struct bus_packed *packed = find_packed(layer, packing);
        if (packed == NULL) {
            struct bus_pages *block = &weights->blocks[weights->block_count - 1];
            if (make(weights, packing, block, used, threads, error) < 0)
                return -1;
            used += packed_stride(weights, packing);
            packed = &layer->packed[layer->packed_count - 1];
        }
        if (create_vectors(weights, layer, error) < 0)
            return -1;
        packing->weights = packed->memory;
        packing->bias = layer->bias;
        packing->scale = layer->scale;
        packing->packed = packed->data;
        packing->biases = layer->parts[BUS_BIAS];
        packing->scales = layer->quantized ? layer->scales : NULL;
    }
    return 0;
}

int bus_weights_pack(struct bus_weights *weights, struct bus_packing *packings,
                     size_t count, int threads, struct bus_error *error)
{
    pthread_mutex_lock(&weights->lock);
    int result = pack_all(weights, packings, count, threads, error);
    pthread_mutex_unlock(&weights->lock);
    return result;
}
