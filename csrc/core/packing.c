#define _POSIX_C_SOURCE 200809L
#include "packing.h"

#include <stdio.h>
#include <stdlib.h>

#include "arena.h"
#include "cache.h"
#include "clock.h"
#include "layer_arrays.h"
#include "onednn.h"
#include "round.h"
#include "stem.h"
#include "winograd.h"

/* How much longer than making a huge page it is until the next: a system that is short
 * of them takes milliseconds to find one. */
#define SETTLING_PAUSE 50

dnnl_engine_t bus_weights_engine(const struct bus_weights *weights)
{
    return weights->engine;
}

bool bus_weights_winograd(const struct bus_weights *weights, int node)
{
    return weights->layers[node].winograd;
}

const struct bus_map *bus_weights_map(const struct bus_weights *weights, int node)
{
    return weights->maps != NULL ? &weights->maps[node] : NULL;
}

bool bus_weights_stem(const struct bus_weights *weights, int node)
{
    return weights->layers[node].stem;
}

static const struct bus_packed *find_packed(const struct bus_layer_arrays *layer,
                                            const_dnnl_memory_desc_t desc)
{
    for (size_t i = 0; i < layer->packed_count; i++)
        if (dnnl_memory_desc_equal(layer->packed[i].desc, desc))
            return &layer->packed[i];
    return NULL;
}

static int plain_desc(dnnl_memory_desc_t *desc, const struct bus_layer_arrays *layer,
                      struct bus_error *error)
{
    int64_t shape[4];
    size_t rank = bus_node_weight_shape(layer->node, shape);
    const dnnl_dims_t dims = {shape[0], shape[1], shape[2], shape[3]};
    if (layer->narrow) { /* each row of integers lies where its row of floats began */
        const dnnl_dims_t strides = {shape[1] * shape[2] * shape[3] *
                                         (dnnl_dim_t)sizeof(float),
                                     shape[2] * shape[3], shape[3], 1};
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

/* Fills to, whose numbers are at data, with the layer's weights as they came. */
static int fill_plain(struct bus_weights *weights, const struct bus_layer_arrays *layer,
                      size_t winograd, dnnl_memory_t to, void *data,
                      struct bus_error *error)
{
    const char *name = layer->node->name;
    dnnl_memory_desc_t desc = NULL;
    dnnl_memory_t plain = NULL;
    int result = -1;
    if (layer->stem) {
        const size_t row = layer->numbers / (size_t)layer->node->channels;
        bus_stem_pack(data, (const signed char *)layer->parts[BUS_WEIGHT],
                      row * sizeof(float), layer->node);
    } else if (winograd != 0) {
        bus_winograd_transform(data, layer->parts[BUS_WEIGHT], layer->node, winograd,
                               weights->threads);
    } else if (plain_desc(&desc, layer, error) < 0 ||
               bus_onednn_check(dnnl_memory_create(&plain, desc, weights->engine,
                                                   layer->parts[BUS_WEIGHT]),
                                name, error) < 0 ||
               reorder(weights, plain, to, name, error) < 0) {
        goto done;
    }
    result = 0;

done:
    if (plain != NULL)
        dnnl_memory_destroy(plain);
    dnnl_memory_desc_destroy(desc);
    return result;
}

/* Adds what is demanded to the layer's packings, its numbers at data: there already, or
 * to be made of the layer's first packing, or of its weights as they came. These are
 * given back, unless a later demand can be made of nothing else. */
static int pack(struct bus_weights *weights, const struct bus_packing *packing,
                char *data, bool filled, struct bus_error *error)
{
    struct bus_layer_arrays *layer = &weights->layers[packing->node];
    const char *name = layer->node->name;
    struct bus_packed made = {0};
    struct bus_packed *grown =
        realloc(layer->packed, (layer->packed_count + 1) * sizeof *grown);
    if (grown == NULL)
        return bus_error_memory(error, "packed weights");
    layer->packed = grown;
    if (bus_onednn_check(dnnl_memory_desc_clone(&made.desc, packing->desc), name,
                         error) < 0 ||
        bus_onednn_check(
            dnnl_memory_create(&made.memory, packing->desc, weights->engine, data),
            name, error) < 0)
        goto error;
    if (!filled &&
        (layer->packed_count != 0 && !layer->winograd
             ? reorder(weights, layer->packed[0].memory, made.memory, name, error)
             : fill_plain(weights, layer, packing->winograd, made.memory, data,
                          error)) < 0)
        goto error;
    layer->packed[layer->packed_count++] = made;
    if (!layer->winograd)
        bus_pages_release(&weights->plain, layer->parts[BUS_WEIGHT],
                          layer->numbers * sizeof(float));
    return 0;

error:
    if (made.memory != NULL)
        dnnl_memory_destroy(made.memory);
    dnnl_memory_desc_destroy(made.desc);
    return -1;
}

/* Makes the memory objects of what a layer has once a channel. */
static int make_vectors(struct bus_weights *weights, struct bus_layer_arrays *layer,
                        struct bus_error *error)
{
    const dnnl_dims_t dims = {layer->node->channels};
    dnnl_memory_desc_t desc = NULL;
    dnnl_status_t status = dnnl_success;
    if (layer->bias != NULL)
        return 0;
    if ((status = dnnl_memory_desc_create_with_tag(&desc, 1, dims, dnnl_f32, dnnl_a)) ||
        (layer->narrow && layer->scale == NULL &&
         (status =
              dnnl_memory_create(&layer->scale, desc, weights->engine, layer->scales))))
        goto done;
    status =
        dnnl_memory_create(&layer->bias, desc, weights->engine, layer->parts[BUS_BIAS]);

done:
    dnnl_memory_desc_destroy(desc);
    return bus_onednn_check(status, layer->node->name, error);
}

/* Hashes all that says how a descriptor lays out numbers. */
static uint64_t hash_desc(const_dnnl_memory_desc_t desc)
{
    static const dnnl_query_t lists[] = {dnnl_query_dims, dnnl_query_padded_dims,
                                         dnnl_query_strides};
    dnnl_dims_t *list;
    dnnl_data_type_t type = dnnl_data_type_undef;
    int rank = 0, blocks = 0;
    dnnl_memory_desc_query(desc, dnnl_query_ndims_s32, &rank);
    dnnl_memory_desc_query(desc, dnnl_query_data_type, &type);
    dnnl_memory_desc_query(desc, dnnl_query_inner_nblks_s32, &blocks);
    uint64_t hash = bus_cache_hash(0, &rank, sizeof rank);
    hash = bus_cache_hash(hash, &type, sizeof type);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (dnnl_memory_desc_query(desc, lists[i], &list) == dnnl_success)
            hash = bus_cache_hash(hash, *list, (size_t)rank * sizeof **list);
    if (dnnl_memory_desc_query(desc, dnnl_query_inner_blks, &list) == dnnl_success)
        hash = bus_cache_hash(hash, *list, (size_t)blocks * sizeof **list);
    if (dnnl_memory_desc_query(desc, dnnl_query_inner_idxs, &list) == dnnl_success)
        hash = bus_cache_hash(hash, *list, (size_t)blocks * sizeof **list);
    return hash;
}

/* The name of the file that keeps a demand. False where none does. */
static bool file_name(char name[BUS_CACHE_NAME], const struct bus_weights *weights,
                      const struct bus_packing *packing)
{
    char file[48];
    if (weights->cache == NULL)
        return false;
    snprintf(file, sizeof file, "%d-%016llx", packing->node,
             (unsigned long long)hash_desc(packing->desc));
    return bus_cache_name(name, weights->cache, file);
}

/* Bytes from a packing to the next one in a block. */
static size_t packed_bytes(const struct bus_weights *weights,
                           const_dnnl_memory_desc_t desc)
{
    return bus_round_up(dnnl_memory_desc_get_size(desc),
                        weights->cache != NULL ? BUS_PAGE : BUS_ALIGNMENT);
}

/* Adds a block that has room for all demands that are not met yet. */
static int add_block(struct bus_weights *weights, const struct bus_packing *packings,
                     size_t count, struct bus_error *error)
{
    size_t bytes = 0;
    struct bus_pages *grown;
    for (size_t i = 0; i < count; i++)
        if (find_packed(&weights->layers[packings[i].node], packings[i].desc) == NULL)
            bytes += packed_bytes(weights, packings[i].desc);
    grown = realloc(weights->blocks, (weights->block_count + 1) * sizeof *grown);
    if (grown == NULL)
        return bus_error_memory(error, "packed weights");
    weights->blocks = grown;
    if (bus_pages_new(&grown[weights->block_count], bytes, "packed weights", error) < 0)
        return -1;
    weights->block_count++;
    return 0;
}

/* Meets a demand at offset in block: by what the cache keeps, or by packing. */
static int meet(struct bus_weights *weights, const struct bus_packing *packing,
                struct bus_pages *block, size_t offset, struct bus_error *error)
{
    const size_t size = dnnl_memory_desc_get_size(packing->desc);
    char name[BUS_CACHE_NAME];
    const bool named = file_name(name, weights, packing);
    const bool kept = named && bus_cache_map(block, offset, name, size);
    if (!kept && weights->cached)
        return bus_error_set(error, BUS_ERROR_ABSENT,
                             "%s: its weights are not in the cache in this layout",
                             weights->graph->nodes[packing->node].name);
    if (pack(weights, packing, block->data + offset, kept, error) < 0)
        return -1;
    if (named && !kept) {
        const struct bus_cache_part part = {block->data + offset, size};
        bus_cache_write(name, &part, 1);
    }
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
        struct bus_layer_arrays *layer = &weights->layers[packing->node];
        const struct bus_packed *packed = find_packed(layer, packing->desc);
        if (packed == NULL) {
            struct bus_pages *block = &weights->blocks[weights->block_count - 1];
            if (meet(weights, packing, block, used, error) < 0)
                return -1;
            used += packed_bytes(weights, packing->desc);
            packed = &layer->packed[layer->packed_count - 1];
        }
        if (make_vectors(weights, layer, error) < 0)
            return -1;
        packing->weights = packed->memory;
        packing->bias = layer->bias;
        packing->scale = layer->scale;
    }
    return 0;
}

void bus_weights_settle(struct bus_weights *weights)
{
    pthread_mutex_lock(&weights->lock);
    const double start = bus_clock();
    if (weights->settling < weights->block_count && start >= weights->settle_at) {
        const struct bus_pages *block = &weights->blocks[weights->settling];
        weights->settled = bus_pages_make_huge(block, weights->settled);
        if (weights->settled == block->size) {
            weights->settling++;
            weights->settled = 0;
        }
        const double end = bus_clock();
        weights->settle_at = end + SETTLING_PAUSE * (end - start);
    }
    pthread_mutex_unlock(&weights->lock);
}

int bus_weights_pack(struct bus_weights *weights, struct bus_packing *packings,
                     size_t count, struct bus_error *error)
{
    pthread_mutex_lock(&weights->lock);
    int result = pack_all(weights, packings, count, error);
    pthread_mutex_unlock(&weights->lock);
    return result;
}
