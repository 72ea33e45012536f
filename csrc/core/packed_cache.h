/* Files that keep the numbers of weights: what was packed, and the vectors. */
#ifndef BUS_PACKED_CACHE_H
#define BUS_PACKED_CACHE_H

#include "weights.h"

struct bus_packing;
struct bus_pages;

/* Makes weights keep what is packed in files of a folder, whose path must name all that
 * decides the numbers: the file that they come from, oneDNN, this code. Called before
 * any array is set. With read, if the biases are there, the weights are finished at
 * once, and a plan whose weights are not in the folder fails with BUS_ERROR_ABSENT.
 * Without, arrays must be set; packed weights that are there are used all the same. */
int bus_weights_use_cache(struct bus_weights *weights, const char *folder, bool read,
                          struct bus_error *error);

/* Writes the vectors of finished weights, and how activations are stored. */
void bus_packed_cache_write_vectors(const struct bus_weights *weights);

/* Maps packed weights of size bytes at offset in block. False where they are not in a
 * file. */
bool bus_packed_cache_map(const struct bus_weights *weights,
                          const struct bus_packing *packing, struct bus_pages *block,
                          size_t offset, size_t size);

/* Writes packed weights; no file is written where that fails. */
void bus_packed_cache_write(const struct bus_weights *weights,
                            const struct bus_packing *packing, const void *data,
                            size_t size);

#endif
