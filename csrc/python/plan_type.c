/* busnet._core.Plan: a graph with weights, ready to run on one input shape. */
#include "arrays.h"
#include "module.h"
#include "observe.h"

struct plan_object {
    PyObject_HEAD
    struct weights_object *weights;
    struct bus_plan *plan;
};

/* Turns names of outputs into bits of bus_plan_options.outputs. */
static int read_outputs(unsigned *bits, const struct bus_graph *graph, PyObject *names)
{
    *bits = 0;
    if (names == Py_None)
        return 0;
    PyObject *tuple = PySequence_Tuple(names);
    if (tuple == NULL)
        return -1;
    for (Py_ssize_t i = 0; i < PyTuple_Size(tuple); i++) {
        const char *name = PyUnicode_AsUTF8AndSize(PyTuple_GetItem(tuple, i), NULL);
        size_t j = 0;
        if (name == NULL)
            goto error;
        while (j < graph->output_count && strcmp(graph->outputs[j].name, name) != 0)
            j++;
        if (j == graph->output_count) {
            PyErr_Format(PyExc_ValueError, "the graph has no output '%s'", name);
            goto error;
        }
        *bits |= 1U << j;
    }
    if (*bits == 0) {
        PyErr_SetString(PyExc_ValueError, "no outputs are named");
        goto error;
    }
    Py_DECREF(tuple);
    return 0;

error:
    Py_DECREF(tuple);
    return -1;
}

static PyObject *plan_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"weights", "batch",   "height", "width",
                            "threads", "outputs", NULL};
    struct module_state *state = PyType_GetModuleState(type);
    struct bus_plan_options options = {.threads = 1};
    PyObject *weights, *outputs = Py_None;
    long long batch, height, width;
    struct bus_error error;
    int result;
    if (state == NULL ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "O!LLL|$iO:Plan", names,
                                     state->weights_type, &weights, &batch, &height,
                                     &width, &options.threads, &outputs))
        return NULL;
    options.batch = batch;
    options.height = height;
    options.width = width;
    struct bus_weights *core = ((struct weights_object *)weights)->weights;
    const struct bus_graph *graph = ((struct weights_object *)weights)->graph->graph;
    if (read_outputs(&options.outputs, graph, outputs) < 0)
        return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    struct plan_object *self = (struct plan_object *)allocate(type, 0);
    if (self == NULL)
        return NULL;
    Py_INCREF(weights);
    self->weights = (struct weights_object *)weights;
    struct bus_plan *plan = NULL;
    Py_BEGIN_ALLOW_THREADS
    result = bus_plan_new(&plan, graph, core, &options, &error);
    Py_END_ALLOW_THREADS
    if (result < 0) {
        raise_error(state, &error);
        Py_DECREF(self);
        return NULL;
    }
    self->plan = plan;
    return (PyObject *)self;
}

static void plan_dealloc(PyObject *object)
{
    struct plan_object *self = (struct plan_object *)object;
    bus_plan_free(self->plan);
    Py_XDECREF(self->weights);
    free_object(object);
}

/* Views images of the plan's input shape; grey ones may come without the last
 * dimension. */
static int view_images(struct array_view *view, PyObject *images,
                       const struct bus_plan *plan)
{
    if (array_view(view, images, ARRAY_FLOAT32, "images") < 0)
        return -1;
    const struct bus_shape shape = bus_plan_input_shape(plan);
    const int64_t expected[] = {shape.n, shape.h, shape.w, shape.c};
    int fits = view->rank == 4 || (view->rank == 3 && shape.c == 1);
    for (size_t i = 0; fits && i < view->rank; i++)
        fits = view->shape[i] == expected[i];
    if (!fits)
        PyErr_Format(PyExc_ValueError,
                     "images: the plan is for (%lld, %lld, %lld, %lld), and got %zu "
                     "dimensions that begin with %lld",
                     (long long)shape.n, (long long)shape.h, (long long)shape.w,
                     (long long)shape.c, view->rank, (long long)view->shape[0]);
    return fits ? 0 : -1;
}

PyDoc_STRVAR(run_doc,
             "run($self, images, /)\n--\n\n"
             "Compute the outputs for images.\n\n"
             "Parameters\n----------\n"
             "images : numpy.ndarray\n"
             "    float32 in 0..1, (N, H, W, C), or (N, H, W) for one channel;\n"
             "    C-contiguous. It is not changed.\n\n"
             "Returns\n-------\n"
             "dict of str to numpy.ndarray\n"
             "    Each output by name, float32 (N, H, W, C).\n\n"
             "Raises\n------\n"
             "TypeError, ValueError\n"
             "    If dtype or shape are not the plan's, or a number is not finite.");

static PyObject *plan_run(PyObject *object, PyObject *images)
{
    struct plan_object *self = (struct plan_object *)object;
    size_t count = bus_plan_output_count(self->plan);
    float *dst[BUS_MAX_OUTPUTS];
    struct array_view view;
    struct bus_error error;
    int result;
    if (view_images(&view, images, self->plan) < 0)
        return NULL;
    PyObject *outputs = PyDict_New();
    if (outputs == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        struct bus_shape shape = bus_plan_output_shape(self->plan, i);
        const int64_t dims[] = {shape.n, shape.h, shape.w, shape.c};
        void *data;
        PyObject *array = array_new(&data, ARRAY_FLOAT32, 4, dims);
        const char *name = bus_plan_output_name(self->plan, i);
        if (array == NULL || PyDict_SetItemString(outputs, name, array) < 0) {
            Py_XDECREF(array);
            Py_DECREF(outputs);
            return NULL;
        }
        dst[i] = data;
        Py_DECREF(array);
    }
    struct bus_plan *plan = self->plan;
    Py_BEGIN_ALLOW_THREADS
    result = bus_plan_run(plan, view.data, dst, &error);
    Py_END_ALLOW_THREADS
    if (result < 0) {
        Py_DECREF(outputs);
        return raise_error(state_of(object), &error);
    }
    return outputs;
}

PyDoc_STRVAR(time_doc, "time($self, images, /)\n--\n\n"
                       "Run once and take the time of every step.\n\n"
                       "Parameters\n----------\n"
                       "images : numpy.ndarray\n    As run takes them.\n\n"
                       "Returns\n-------\n"
                       "list of float\n    Seconds, in the order of steps.");

static PyObject *plan_time(PyObject *object, PyObject *images)
{
    struct plan_object *self = (struct plan_object *)object;
    size_t count = bus_plan_step_count(self->plan);
    struct array_view view;
    struct bus_error error;
    int result;
    if (view_images(&view, images, self->plan) < 0)
        return NULL;
    double *seconds = PyMem_Malloc((count + 1) * sizeof *seconds);
    if (seconds == NULL)
        return PyErr_NoMemory();
    struct bus_plan *plan = self->plan;
    Py_BEGIN_ALLOW_THREADS
    result = bus_plan_time(plan, view.data, seconds, &error);
    Py_END_ALLOW_THREADS
    PyObject *list = NULL;
    if (result < 0)
        raise_error(state_of(object), &error);
    else
        list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list != NULL && i < count; i++) {
        PyObject *number = PyFloat_FromDouble(seconds[i]);
        if (number == NULL || PyList_SetItem(list, (Py_ssize_t)i, number) < 0)
            Py_CLEAR(list);
    }
    PyMem_Free(seconds);
    return list;
}

PyDoc_STRVAR(
    observe_doc,
    "observe($self, images, /)\n--\n\n"
    "Run once and see what the convolutions read and write.\n\n"
    "Parameters\n----------\n"
    "images : numpy.ndarray\n    As run takes them.\n\n"
    "Returns\n-------\n"
    "list of (str, bool, numpy.ndarray, numpy.ndarray)\n"
    "    For each convolution in order: its name; whether a ReLU follows; the mean\n"
    "    of each channel that it reads, float64; and how many of its result's\n"
    "    numbers lie in each bin, int64 (2048). Bin i begins at the absolute value\n"
    "    2**(i // 64 - 20) * (1 + i % 64 / 64); the first also has smaller ones, the\n"
    "    last larger ones.\n\n"
    "Raises\n------\n"
    "ValueError\n    If the plan does not compute in float32.");

/* Makes the arrays of one convolution's observation, and points it into them. */
static PyObject *new_observation(const struct module_state *state,
                                 struct bus_observation *observation,
                                 const struct bus_plan *plan, size_t index)
{
    const int64_t bins = BUS_SIZE_BINS;
    const struct bus_node *node;
    struct bus_error error;
    if (bus_observe_node(&node, plan, index, &error) < 0)
        return raise_error(state, &error);
    void *means_data = NULL, *counts_data = NULL;
    PyObject *means = array_new(&means_data, ARRAY_FLOAT64, 1, &node->src_channels);
    PyObject *counts =
        means != NULL ? array_new(&counts_data, ARRAY_INT64, 1, &bins) : NULL;
    PyObject *row = NULL;
    if (counts != NULL)
        row = Py_BuildValue("(sNOO)", node->name, PyBool_FromLong(node->relu), means,
                            counts);
    observation->means = means_data;
    observation->counts = counts_data;
    Py_XDECREF(means);
    Py_XDECREF(counts);
    return row;
}

static PyObject *plan_observe(PyObject *object, PyObject *images)
{
    struct plan_object *self = (struct plan_object *)object;
    struct bus_plan *plan = self->plan;
    const size_t count = bus_observe_count(plan);
    struct array_view view;
    struct bus_error error;
    if (view_images(&view, images, plan) < 0)
        return NULL;
    struct bus_observation *observations =
        PyMem_Malloc((count + 1) * sizeof *observations);
    if (observations == NULL)
        return PyErr_NoMemory();
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list != NULL && i < count; i++) {
        PyObject *row = new_observation(state_of(object), &observations[i], plan, i);
        if (row == NULL || PyList_SetItem(list, (Py_ssize_t)i, row) < 0)
            Py_CLEAR(list);
    }
    if (list != NULL) {
        int result;
        Py_BEGIN_ALLOW_THREADS
        result = bus_observe(plan, view.data, observations, &error);
        Py_END_ALLOW_THREADS
        if (result < 0) {
            Py_CLEAR(list);
            raise_error(state_of(object), &error);
        }
    }
    PyMem_Free(observations);
    return list;
}

static PyObject *plan_steps(PyObject *object, void *unused)
{
    struct bus_plan *plan = ((struct plan_object *)object)->plan;
    size_t count = bus_plan_step_count(plan);
    PyObject *list = PyList_New((Py_ssize_t)count);
    (void)unused;
    for (size_t i = 0; list != NULL && i < count; i++) {
        struct bus_plan_step step = bus_plan_step(plan, i);
        PyObject *pair = Py_BuildValue("(ss)", step.layer, step.kernel);
        if (pair == NULL || PyList_SetItem(list, (Py_ssize_t)i, pair) < 0)
            Py_CLEAR(list);
    }
    return list;
}

static PyObject *plan_arena_size(PyObject *object, void *unused)
{
    (void)unused;
    return PyLong_FromSize_t(bus_plan_arena_size(((struct plan_object *)object)->plan));
}

static PyMethodDef plan_methods[] = {
    {"run", plan_run, METH_O, run_doc},
    {"time", plan_time, METH_O, time_doc},
    {"observe", plan_observe, METH_O, observe_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef plan_properties[] = {
    {"arena_size", plan_arena_size, NULL, "Bytes of activations and scratchpads.",
     NULL},
    {"steps", plan_steps, NULL, "Layer and kernel of each step, in order.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(plan_doc,
             "Plan(weights, batch, height, width, *, threads=1, outputs=None)\n--\n\n"
             "A network, ready to run on one input shape.\n\n"
             "Parameters\n----------\n"
             "weights : Weights\n    Finished weights; several plans may share them.\n"
             "batch, height, width : int\n    The input's shape.\n"
             "threads : int\n    Threads that each run uses.\n"
             "outputs : sequence of str, optional\n    Outputs to compute; by "
             "default all.\n\n"
             "Raises\n------\n"
             "ValueError\n    If the network does not admit the shape.\n"
             "MemoryError\n    If there is no memory for it.");

static PyType_Slot plan_slots[] = {
    {Py_tp_new, plan_new},         {Py_tp_dealloc, plan_dealloc},
    {Py_tp_methods, plan_methods}, {Py_tp_getset, plan_properties},
    {Py_tp_doc, (void *)plan_doc}, {0, NULL},
};

PyType_Spec plan_type_spec = {
    .name = "busnet._core.Plan",
    .basicsize = sizeof(struct plan_object),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = plan_slots,
};
