/* Helpers of all files that call oneDNN. */
#ifndef BUS_ONEDNN_H
#define BUS_ONEDNN_H

#include <dnnl.h>

#include "error.h"
#include "graph.h"

/* Turns a status into an error that names what failed; 0 for dnnl_success. */
int bus_onednn_check(dnnl_status_t status, const char *what, struct bus_error *error);

/* Descriptor of an activation, nhwc. */
int bus_onednn_activation_desc(dnnl_memory_desc_t *desc, const struct bus_shape *shape,
                               dnnl_data_type_t type, struct bus_error *error);

/* Type of the numbers that a descriptor is of. */
dnnl_data_type_t bus_onednn_type(const_dnnl_memory_desc_t desc);

#endif
