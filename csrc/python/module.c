/* The extension module busnet._core. */
#include "module.h"

#include "arrays.h"
#include "components.h"
#include "engine.h"

struct module_state *state_of(PyObject *object)
{
    return PyType_GetModuleState(Py_TYPE(object));
}

PyObject *raise_error(const struct module_state *state, const struct bus_error *error)
{
    PyObject *const types[] = {
        [BUS_OK] = PyExc_SystemError,
        [BUS_ERROR_MEMORY] = PyExc_MemoryError,
        [BUS_ERROR_VALUE] = PyExc_ValueError,
        [BUS_ERROR_ABSENT] = PyExc_LookupError,
        [BUS_ERROR_ENGINE] = state->engine_error,
    };
    PyErr_SetString(types[error->code], error->message);
    return NULL;
}

void free_object(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

PyDoc_STRVAR(engine_doc,
             "engine($module)\n--\n\n"
             "Return what is known of the oneDNN in use.\n\n"
             "Returns\n-------\n"
             "dict\n    'version' and 'isa', both str, 'bf16' and 'int8', bool.");

static PyObject *module_engine(PyObject *module, PyObject *unused)
{
    struct bus_engine_info info = bus_engine_info();
    (void)module;
    (void)unused;
    PyObject *version =
        PyUnicode_FromFormat("%d.%d.%d", info.major, info.minor, info.patch);
    if (version == NULL)
        return NULL;
    return Py_BuildValue("{s:N,s:s,s:N,s:N}", "version", version, "isa", info.isa,
                         "bf16", PyBool_FromLong(info.bf16), "int8",
                         PyBool_FromLong(info.int8));
}

PyDoc_STRVAR(label_doc,
             "label($module, mask, /)\n--\n\n"
             "Number the 8-connected components of a mask.\n\n"
             "Parameters\n----------\n"
             "mask : numpy.ndarray\n    uint8 (H, W), C-contiguous.\n\n"
             "Returns\n-------\n"
             "tuple of numpy.ndarray and int\n"
             "    int32 (H, W), 0 for background, 1 upwards in the order of the\n"
             "    components' first pixels; and how many there are.");

static PyObject *module_label(PyObject *module, PyObject *mask)
{
    struct bus_error error;
    struct array_view view;
    int32_t count;
    void *labels;
    int result;
    if (array_view(&view, mask, ARRAY_UINT8, "mask") < 0)
        return NULL;
    if (view.rank != 2) {
        PyErr_Format(PyExc_ValueError, "mask: %zu dimensions, expected 2", view.rank);
        return NULL;
    }
    PyObject *array = array_new(&labels, ARRAY_INT32, 2, view.shape);
    if (array == NULL)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    result = bus_components_label(labels, &count, view.data, (size_t)view.shape[0],
                                  (size_t)view.shape[1], &error);
    Py_END_ALLOW_THREADS
    if (result < 0) {
        Py_DECREF(array);
        return raise_error(PyModule_GetState(module), &error);
    }
    return Py_BuildValue("(Ni)", array, count);
}

static PyMethodDef module_methods[] = {
    {"engine", module_engine, METH_NOARGS, engine_doc},
    {"label", module_label, METH_O, label_doc},
    {NULL, NULL, 0, NULL},
};

static int add_type(PyTypeObject **type, PyObject *module, PyType_Spec *spec)
{
    *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    return *type == NULL ? -1 : PyModule_AddType(module, *type);
}

static int module_exec(PyObject *module)
{
    struct module_state *state = PyModule_GetState(module);
    if (arrays_import() < 0)
        return -1;
    PyObject *errors = PyImport_ImportModule("busnet.errors");
    if (errors == NULL)
        return -1;
    state->engine_error = PyObject_GetAttrString(errors, "EngineError");
    Py_DECREF(errors);
    if (state->engine_error == NULL ||
        add_type(&state->graph_type, module, &graph_type_spec) < 0 ||
        add_type(&state->weights_type, module, &weights_type_spec) < 0 ||
        add_type(&state->plan_type, module, &plan_type_spec) < 0)
        return -1;
    return 0;
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct module_state *state = PyModule_GetState(module);
    Py_VISIT(state->engine_error);
    Py_VISIT(state->graph_type);
    Py_VISIT(state->weights_type);
    Py_VISIT(state->plan_type);
    return 0;
}

static int module_clear(PyObject *module)
{
    struct module_state *state = PyModule_GetState(module);
    Py_CLEAR(state->engine_error);
    Py_CLEAR(state->graph_type);
    Py_CLEAR(state->weights_type);
    Py_CLEAR(state->plan_type);
    return 0;
}

static void module_free(void *module) { module_clear(module); }

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "busnet._core",
    .m_doc = "The engine: graphs, weights and plans on oneDNN.",
    .m_size = sizeof(struct module_state),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit__core(void) { return PyModuleDef_Init(&module_definition); }
