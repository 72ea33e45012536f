/* busnet._core.Graph: busnet.networks.Graph on the C core's graph. */
#include "module.h"

static PyObject *graph_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {NULL};
    struct bus_error error;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":Graph", names))
        return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    struct graph_object *self = (struct graph_object *)allocate(type, 0);
    if (self == NULL)
        return NULL;
    if (bus_graph_new(&self->graph, &error) < 0) {
        raise_error(state_of((PyObject *)self), &error);
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void graph_dealloc(PyObject *object)
{
    bus_graph_free(((struct graph_object *)object)->graph);
    free_object(object);
}

static int check_open(const struct graph_object *self)
{
    if (!self->frozen)
        return 0;
    PyErr_SetString(PyExc_ValueError,
                    "the graph has weights and cannot change any more");
    return -1;
}

static PyObject *append(struct graph_object *self, const struct bus_node *node)
{
    struct bus_error error;
    int value;
    if (check_open(self) < 0)
        return NULL;
    if (bus_graph_append(&value, self->graph, node, &error) < 0)
        return raise_error(state_of((PyObject *)self), &error);
    return PyLong_FromLong(value);
}

/* Reads one number a channel. */
static int read_channels(float *dst, PyObject *numbers, Py_ssize_t count,
                         const char *what)
{
    PyObject *tuple = PySequence_Tuple(numbers);
    if (tuple == NULL)
        return -1;
    if (PyTuple_Size(tuple) != count) {
        PyErr_Format(PyExc_ValueError, "input: %zd channels, but %zd numbers in %s",
                     count, PyTuple_Size(tuple), what);
        Py_DECREF(tuple);
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        double number = PyFloat_AsDouble(PyTuple_GetItem(tuple, i));
        if (number == -1.0 && PyErr_Occurred()) {
            Py_DECREF(tuple);
            return -1;
        }
        dst[i] = (float)number;
    }
    Py_DECREF(tuple);
    return 0;
}

PyDoc_STRVAR(input_doc, "input($self, channels, mean, std)\n--\n\n"
                        "Declare the image; see busnet.networks.Graph.");

static PyObject *graph_input(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"channels", "mean", "std", NULL};
    struct bus_node node = {.op = BUS_INPUT, .src = BUS_NONE};
    PyObject *mean, *std;
    long long channels;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "LOO:input", names, &channels, &mean,
                                     &std))
        return NULL;
    if (channels < 1 || channels > BUS_MAX_IMAGE_CHANNELS) {
        PyErr_Format(PyExc_ValueError, "input: %lld channels, possible are 1 to %d",
                     channels, BUS_MAX_IMAGE_CHANNELS);
        return NULL;
    }
    node.channels = channels;
    if (read_channels(node.mean, mean, (Py_ssize_t)channels, "mean") < 0 ||
        read_channels(node.std, std, (Py_ssize_t)channels, "std") < 0)
        return NULL;
    return append((struct graph_object *)object, &node);
}

/* Reads the value to add, or None. */
static int read_add(int *add, PyObject *object, const char *operator)
{
    if (object == Py_None)
        return 0;
    long value = PyLong_AsLong(object);
    if (value == -1 && PyErr_Occurred())
        return -1;
    if (value < 0 || value > INT32_MAX) {
        PyErr_Format(PyExc_ValueError, "%s: value %ld does not exist", operator, value);
        return -1;
    }
    *add = (int)value;
    return 0;
}

PyDoc_STRVAR(
    conv_doc,
    "conv($self, src, name, channels, kernel, *, stride=1, padding=0, norm='',\n"
    "     bias=False, add=None, relu=False)\n--\n\n"
    "Append a convolution; see busnet.networks.Graph.");

static PyObject *graph_conv(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"src",  "name", "channels", "kernel", "stride", "padding",
                            "norm", "bias", "add",      "relu",   NULL};
    struct bus_node node = {.op = BUS_CONV, .stride = 1, .add = BUS_NONE};
    PyObject *add = Py_None;
    const char *name, *norm = "";
    long long channels, kernel, stride = 1, padding = 0;
    int bias = 0, relu = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "isLL|$LLspOp:conv", names,
                                     &node.src, &name, &channels, &kernel, &stride,
                                     &padding, &norm, &bias, &add, &relu))
        return NULL;
    if (read_add(&node.add, add, "conv") < 0)
        return NULL;
    node.name = (char *)name;
    node.norm = norm[0] != '\0' ? (char *)norm : NULL;
    node.channels = channels;
    node.kernel = kernel;
    node.stride = stride;
    node.padding = padding;
    node.bias = bias != 0;
    node.relu = relu != 0;
    return append((struct graph_object *)object, &node);
}

PyDoc_STRVAR(max_pool_doc,
             "max_pool($self, src, kernel, stride, *, padding=0, ceil=False)\n--\n\n"
             "Append a maximum of windows; see busnet.networks.Graph.");

static PyObject *graph_max_pool(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"src", "kernel", "stride", "padding", "ceil", NULL};
    struct bus_node node = {.op = BUS_MAX_POOL};
    long long kernel, stride, padding = 0;
    int ceil = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "iLL|$Lp:max_pool", names, &node.src,
                                     &kernel, &stride, &padding, &ceil))
        return NULL;
    node.kernel = kernel;
    node.stride = stride;
    node.padding = padding;
    node.ceil = ceil != 0;
    return append((struct graph_object *)object, &node);
}

PyDoc_STRVAR(mean_pool_doc, "mean_pool($self, src)\n--\n\n"
                            "Append a mean over planes; see busnet.networks.Graph.");

static PyObject *graph_mean_pool(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"src", NULL};
    struct bus_node node = {.op = BUS_MEAN_POOL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "i:mean_pool", names, &node.src))
        return NULL;
    return append((struct graph_object *)object, &node);
}

PyDoc_STRVAR(lesion_pool_doc,
             "lesion_pool($self, src, logits)\n--\n\n"
             "Append a mean over the lesion; see busnet.networks.Graph.");

static PyObject *graph_lesion_pool(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"src", "logits", NULL};
    struct bus_node node = {.op = BUS_LESION_POOL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "ii:lesion_pool", names, &node.src,
                                     &node.logits))
        return NULL;
    return append((struct graph_object *)object, &node);
}

PyDoc_STRVAR(linear_doc, "linear($self, src, name, features, *, add=None)\n--\n\n"
                         "Append a fully connected layer; see busnet.networks.Graph.");

static PyObject *graph_linear(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"src", "name", "features", "add", NULL};
    struct bus_node node = {.op = BUS_LINEAR, .add = BUS_NONE};
    PyObject *add = Py_None;
    const char *name;
    long long features;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "isL|$O:linear", names, &node.src,
                                     &name, &features, &add) ||
        read_add(&node.add, add, "linear") < 0)
        return NULL;
    node.name = (char *)name;
    node.channels = features;
    return append((struct graph_object *)object, &node);
}

PyDoc_STRVAR(resize_doc,
             "resize($self, src, like, *, mode='bilinear')\n--\n\n"
             "Append a resampling, bilinear or nearest; see busnet.networks.Graph.");

static PyObject *graph_resize(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"src", "like", "mode", NULL};
    struct bus_node node = {.op = BUS_RESIZE};
    const char *mode = "bilinear";
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "ii|$s:resize", names, &node.src,
                                     &node.like, &mode))
        return NULL;
    node.nearest = strcmp(mode, "nearest") == 0;
    if (!node.nearest && strcmp(mode, "bilinear") != 0) {
        PyErr_Format(PyExc_ValueError,
                     "resize: mode '%s', possible are 'bilinear' and 'nearest'", mode);
        return NULL;
    }
    return append((struct graph_object *)object, &node);
}

PyDoc_STRVAR(output_doc, "output($self, src, name)\n--\n\n"
                         "Make a value a result; see busnet.networks.Graph.");

static PyObject *graph_output(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"src", "name", NULL};
    struct graph_object *self = (struct graph_object *)object;
    struct bus_error error;
    const char *name;
    int src;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "is:output", names, &src, &name))
        return NULL;
    if (check_open(self) < 0)
        return NULL;
    if (bus_graph_output(self->graph, src, name, &error) < 0)
        return raise_error(state_of(object), &error);
    Py_RETURN_NONE;
}

#define METHOD(name)                                                                   \
    {#name, (PyCFunction)(void (*)(void))graph_##name, METH_VARARGS | METH_KEYWORDS,   \
     name##_doc}

static PyMethodDef graph_methods[] = {
    METHOD(input),     METHOD(conv),        METHOD(max_pool),
    METHOD(mean_pool), METHOD(lesion_pool), METHOD(linear),
    METHOD(resize),    METHOD(output),      {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(
    graph_doc,
    "Graph()\n--\n\n"
    "A network for the engine, as busnet.networks.build appends it.\n\n"
    "Values are integers. A value of another graph, or one that does not fit,\n"
    "is a ValueError that names the layer.");

static PyType_Slot graph_slots[] = {
    {Py_tp_new, graph_new},
    {Py_tp_dealloc, graph_dealloc},
    {Py_tp_methods, graph_methods},
    {Py_tp_doc, (void *)graph_doc},
    {0, NULL},
};

PyType_Spec graph_type_spec = {
    .name = "busnet._core.Graph",
    .basicsize = sizeof(struct graph_object),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = graph_slots,
};
