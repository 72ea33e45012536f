/* What the files of the extension module busnet._core share. */
#ifndef BUS_PYTHON_MODULE_H
#define BUS_PYTHON_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "error.h"
#include "graph.h"
#include "plan.h"
#include "weights.h"

struct module_state {
    PyObject *engine_error; /* busnet.errors.EngineError */
    PyTypeObject *graph_type, *weights_type, *plan_type;
};

struct graph_object {
    PyObject_HEAD
    struct bus_graph *graph;
    int frozen; /* weights refer to it: it must not change any more */
};

struct weights_object {
    PyObject_HEAD
    struct graph_object *graph;
    struct bus_weights *weights;
};

extern PyType_Spec graph_type_spec, weights_type_spec, plan_type_spec;

/* State of the module that defined the type of an object. */
struct module_state *state_of(PyObject *object);

/* Raises the Python exception for a core error. Returns NULL. */
PyObject *raise_error(const struct module_state *state, const struct bus_error *error);

/* tp_dealloc of heap types: frees the object itself and lets go of its type. */
void free_object(PyObject *object);

#endif
