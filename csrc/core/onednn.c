#include "onednn.h"

static const char *status_name(dnnl_status_t status)
{
    switch (status) {
    case dnnl_out_of_memory:
        return "out of memory";
    case dnnl_invalid_arguments:
        return "invalid arguments";
    case dnnl_unimplemented:
        return "unimplemented";
    case dnnl_last_impl_reached:
        return "no implementation left";
    case dnnl_runtime_error:
        return "run-time error";
    case dnnl_not_required:
        return "not required";
    default:
        return "unknown status";
    }
}

int bus_onednn_check(dnnl_status_t status, const char *what, struct bus_error *error)
{
    if (status == dnnl_success)
        return 0;
    if (status == dnnl_out_of_memory)
        return bus_error_memory(error, what);
    return bus_error_set(error, BUS_ERROR_ENGINE, "oneDNN: %s: %s (status %d)", what,
                         status_name(status), (int)status);
}

int bus_onednn_activation_desc(dnnl_memory_desc_t *desc, const struct bus_shape *shape,
                               dnnl_data_type_t type, struct bus_error *error)
{
    const dnnl_dims_t dims = {shape->n, shape->c, shape->h, shape->w};
    return bus_onednn_check(
        dnnl_memory_desc_create_with_tag(desc, 4, dims, type, dnnl_nhwc),
        "describing an activation", error);
}

dnnl_data_type_t bus_onednn_type(const_dnnl_memory_desc_t desc)
{
    dnnl_data_type_t type = dnnl_data_type_undef;
    dnnl_memory_desc_query(desc, dnnl_query_data_type, &type);
    return type;
}
