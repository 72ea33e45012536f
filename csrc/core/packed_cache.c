#define _POSIX_C_SOURCE 200809L
#include "packed_cache.h"

#include <stdio.h>
#include <string.h>

#include "cache.h"
#include "packing.h"
#include "weights_int8.h"
#include "weights_internal.h"

/* The file of what is not packed: vectors, and how activations are stored. */
struct vectors_file {
    char name[BUS_CACHE_NAME];
    struct bus_cache_part parts[2];
    size_t count;
};

/* False where the file's name is too long. */
static bool describe_vectors(struct vectors_file *file,
                             const struct bus_weights *weights)
{
    file->parts[0] =
        (struct bus_cache_part){weights->vectors.data, weights->vectors.size};
    file->parts[1] = (struct bus_cache_part){
        weights->quants, weights->layer_count * sizeof *weights->quants};
    file->count = weights->quants != NULL ? 2 : 1;
    return bus_cache_name(file->name, weights->cache, "vectors");
}

static bool read_vectors(const struct bus_weights *weights)
{
    struct vectors_file file;
    return describe_vectors(&file, weights) &&
           bus_cache_read(file.name, file.parts, file.count);
}

void bus_packed_cache_write_vectors(const struct bus_weights *weights)
{
    struct vectors_file file;
    if (describe_vectors(&file, weights))
        bus_cache_write(file.name, file.parts, file.count);
}

int bus_weights_use_cache(struct bus_weights *weights, const char *folder, bool read,
                          struct bus_error *error)
{
    weights->cache = strdup(folder);
    if (weights->cache == NULL)
        return bus_error_memory(error, "the cache");
    if (!read || !read_vectors(weights))
        return 0;
    if (weights->quants != NULL)
        bus_weights_mark_quantized(weights);
    weights->finished = weights->cached = true;
    return 0;
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

/* The name of the file of packed weights. False where there is no cache. */
static bool file_name(char name[BUS_CACHE_NAME], const struct bus_weights *weights,
                      const struct bus_packing *packing)
{
    char file[48];
    if (weights->cache == NULL)
        return false;
    const char *layout = packing->kernel != NULL ? packing->kernel->layout : NULL;
    const uint64_t hash = layout != NULL ? bus_cache_hash(0, layout, strlen(layout))
                                         : hash_desc(packing->desc);
    snprintf(file, sizeof file, "%d-%016llx", packing->node, (unsigned long long)hash);
    return bus_cache_name(name, weights->cache, file);
}

bool bus_packed_cache_map(const struct bus_weights *weights,
                          const struct bus_packing *packing, struct bus_pages *block,
                          size_t offset, size_t size)
{
    char name[BUS_CACHE_NAME];
    return file_name(name, weights, packing) &&
           bus_cache_map(block, offset, name, size);
}

void bus_packed_cache_write(const struct bus_weights *weights,
                            const struct bus_packing *packing, const void *data,
                            size_t size)
{
    char name[BUS_CACHE_NAME];
    const struct bus_cache_part part = {(void *)(uintptr_t)data, size};
    if (file_name(name, weights, packing))
        bus_cache_write(name, &part, 1);
}
