/* Connected components of a mask. */
#ifndef BUS_COMPONENTS_H
#define BUS_COMPONENTS_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* Numbers the 8-connected components of the non-zero pixels of mask, 1 upwards in the
 * order of their first pixel by rows; 0 is background. labels has height x width
 * numbers. */
int bus_components_label(int32_t *labels, int32_t *count, const unsigned char *mask,
                         size_t height, size_t width, struct bus_error *error);

#endif
