/* busnet._core.Weights: the numbers of a graph's layers. */
#include "arrays.h"
#include "module.h"
#include "packed_cache.h"

#include <string.h>

static const char *const precision_names[] = {
    [BUS_F32] = "f32",
    [BUS_EXACT] = "exact",
    [BUS_BF16] = "bf16",
    [BUS_INT8] = "int8",
};

static int read_precision(enum bus_precision *precision, const char *name)
{
    const size_t count = sizeof precision_names / sizeof *precision_names;
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, precision_names[i]) == 0) {
            *precision = (enum bus_precision)i;
            return 0;
        }
    PyErr_Format(PyExc_ValueError,
                 "there is no precision '%s'; there are f32, exact, bf16 and int8",
                 name);
    return -1;
}

/* Gives the weights the cache's folder, whose name need not be UTF-8. */
static int set_cache(struct weights_object *self, const struct module_state *state,
                     PyObject *path, bool use_cache)
{
    PyObject *bytes = NULL;
    struct bus_error error;
    if (!PyUnicode_FSConverter(path, &bytes))
        return -1;
    const int result = bus_weights_use_cache(self->weights, PyBytes_AsString(bytes),
                                             use_cache, &error);
    Py_DECREF(bytes);
    if (result < 0)
        raise_error(state, &error);
    return result;
}

static PyObject *weights_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"graph", "threads",   "precision",
                            "cache", "use_cache", NULL};
    struct module_state *state = PyType_GetModuleState(type);
    struct bus_error error;
    PyObject *graph, *cache = Py_None;
    const char *name = "f32";
    enum bus_precision precision = BUS_F32;
    int threads = 1, use_cache = 1;
    if (state == NULL ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "O!|$isOp:Weights", names,
                                     state->graph_type, &graph, &threads, &name, &cache,
                                     &use_cache) ||
        read_precision(&precision, name) < 0)
        return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    struct weights_object *self = (struct weights_object *)allocate(type, 0);
    if (self == NULL)
        return NULL;
    Py_INCREF(graph);
    self->graph = (struct graph_object *)graph;
    if (bus_weights_new(&self->weights, self->graph->graph, threads, precision,
                        &error) < 0) {
        raise_error(state, &error);
        Py_DECREF(self);
        return NULL;
    }
    if (cache != Py_None && set_cache(self, state, cache, use_cache != 0) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    self->graph->frozen = 1;
    return (PyObject *)self;
}

static void weights_dealloc(PyObject *object)
{
    struct weights_object *self = (struct weights_object *)object;
    bus_weights_free(self->weights);
    Py_XDECREF(self->graph);
    free_object(object);
}

PyDoc_STRVAR(
    set_doc,
    "set($self, name, array, scales=None)\n--\n\n"
    "Copy one array.\n\n"
    "Parameters\n----------\n"
    "name : str\n    Such as 'layer1.0.conv1.weight'.\n"
    "array : numpy.ndarray\n    float32, or int8 with scales; C-contiguous.\n"
    "scales : numpy.ndarray, optional\n"
    "    float32, what to multiply each index of the first dimension by.\n\n"
    "Raises\n------\n"
    "ValueError\n"
    "    If no layer has such an array, it was set before, its shape is another, or a\n"
    "    number is not finite.");

static PyObject *weights_set(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"name", "array", "scales", NULL};
    struct weights_object *self = (struct weights_object *)object;
    PyObject *array, *scales = Py_None;
    struct array_view view, scales_view;
    struct bus_error error;
    const char *name;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "sO|O:set", names, &name, &array,
                                     &scales))
        return NULL;
    int bytes = scales != Py_None;
    if (array_view(&view, array, bytes ? ARRAY_INT8 : ARRAY_FLOAT32, name) < 0)
        return NULL;
    struct bus_array values = {.name = name, .rank = view.rank, .shape = view.shape};
    if (bytes) {
        if (array_view(&scales_view, scales, ARRAY_FLOAT32, name) < 0)
            return NULL;
        if (scales_view.rank != 1 || scales_view.shape[0] != view.shape[0]) {
            PyErr_Format(PyExc_ValueError, "%s: %lld rows, but scales for %lld", name,
                         (long long)view.shape[0], (long long)scales_view.shape[0]);
            return NULL;
        }
        values.bytes = view.data;
        values.scales = scales_view.data;
    } else {
        values.floats = view.data;
    }
    if (bus_weights_set(self->weights, &values, &error) < 0)
        return raise_error(state_of(object), &error);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(finish_doc,
             "finish($self)\n--\n\n"
             "Fold the batch norms, after which plans can be made.\n\n"
             "Raises\n------\n"
             "ValueError\n    If an array was not set, or they are finished already.");

static PyObject *weights_finish(PyObject *object, PyObject *unused)
{
    struct weights_object *self = (struct weights_object *)object;
    struct bus_error error;
    (void)unused;
    /* With the GIL, so that no other thread sets arrays meanwhile. */
    if (bus_weights_finish(self->weights, &error) < 0)
        return raise_error(state_of(object), &error);
    Py_RETURN_NONE;
}

static PyObject *weights_finished(PyObject *object, void *unused)
{
    (void)unused;
    return PyBool_FromLong(
        bus_weights_finished(((struct weights_object *)object)->weights));
}

static PyGetSetDef weights_properties[] = {
    {"finished", weights_finished, NULL,
     "Whether plans can be made: finish was called, or the cache was complete.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef weights_methods[] = {
    {"set", (PyCFunction)(void (*)(void))weights_set, METH_VARARGS | METH_KEYWORDS,
     set_doc},
    {"finish", weights_finish, METH_NOARGS, finish_doc},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(
    weights_doc,
    "Weights(graph, *, threads=1, precision='f32', cache=None,\n"
    "        use_cache=True)\n--\n\n"
    "The numbers of a graph's layers; the graph cannot change any more.\n\n"
    "Parameters\n----------\n"
    "graph : Graph\n    The layers.\n"
    "threads : int\n    Threads that set and finish use.\n"
    "precision : str\n"
    "    'f32': by Winograd's algorithm where that is faster; it rounds more.\n"
    "    'exact': every layer directly. 'bf16': activations and weights in bfloat16.\n"
    "    'int8': both in 8 bits; each conv then has arrays output_scale and "
    "input_mean.\n"
    "cache : str, bytes or os.PathLike, optional\n"
    "    Folder of files with packed weights, which plans write and read. Where it\n"
    "    has the biases, the weights are finished at once, without arrays; a plan\n"
    "    that needs a layout that it lacks then raises LookupError.\n"
    "use_cache : bool\n    Whether the weights may be finished so. If not, arrays "
    "must\n    be set; plans write and read the folder all the same.\n\n"
    "Raises\n------\n"
    "ValueError\n"
    "    If the number of threads is out of range, there is no such precision, or the\n"
    "    CPU has no bfloat16.\n"
    "MemoryError\n    If there is no memory for them.");

static PyType_Slot weights_slots[] = {
    {Py_tp_new, weights_new},         {Py_tp_dealloc, weights_dealloc},
    {Py_tp_methods, weights_methods}, {Py_tp_getset, weights_properties},
    {Py_tp_doc, (void *)weights_doc}, {0, NULL},
};

PyType_Spec weights_type_spec = {
    .name = "busnet._core.Weights",
    .basicsize = sizeof(struct weights_object),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = weights_slots,
};
