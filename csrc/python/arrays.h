/* Only arrays.c uses NumPy's C API; other files see PyObject. */
#ifndef BUS_PYTHON_ARRAYS_H
#define BUS_PYTHON_ARRAYS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#define ARRAY_MAX_RANK 4

enum array_kind {
    ARRAY_FLOAT32,
    ARRAY_INT8,
    ARRAY_UINT8,
    ARRAY_INT32,
    ARRAY_INT64,
    ARRAY_FLOAT64,
    ARRAY_KIND_COUNT
};

/* A C-contiguous, aligned array of native byte order, as C sees it. */
struct array_view {
    const void *data;
    size_t rank;
    int64_t shape[ARRAY_MAX_RANK];
};

/* Loads NumPy's C API, once, when the module is created. Returns -1 with an exception.
 */
int arrays_import(void);

/* Whether object is a NumPy array of that kind of number. */
int array_is(PyObject *object, enum array_kind kind);

/* Views an array without a copy. TypeError or ValueError, naming what, if it is not of
 * that kind, not contiguous, or of too high a rank. Borrows from object. */
int array_view(struct array_view *view, PyObject *object, enum array_kind kind,
               const char *what);

/* A new array with its memory uninitialised, and where that is. */
PyObject *array_new(void **data, enum array_kind kind, size_t rank,
                    const int64_t *shape);

#endif
