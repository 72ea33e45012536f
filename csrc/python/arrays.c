#include "arrays.h"

#define NPY_NO_DEPRECATED_API NPY_1_22_API_VERSION
#define NPY_TARGET_VERSION NPY_1_22_API_VERSION
#include <numpy/arrayobject.h>

static const int type_numbers[ARRAY_KIND_COUNT] = {
    [ARRAY_FLOAT32] = NPY_FLOAT32, [ARRAY_INT8] = NPY_INT8,
    [ARRAY_UINT8] = NPY_UINT8,     [ARRAY_INT32] = NPY_INT32,
    [ARRAY_INT64] = NPY_INT64,     [ARRAY_FLOAT64] = NPY_FLOAT64,
};

static const char *const type_names[ARRAY_KIND_COUNT] = {
    [ARRAY_FLOAT32] = "float32", [ARRAY_INT8] = "int8",   [ARRAY_UINT8] = "uint8",
    [ARRAY_INT32] = "int32",     [ARRAY_INT64] = "int64", [ARRAY_FLOAT64] = "float64",
};

int arrays_import(void)
{
    import_array1(-1);
    return 0;
}

int array_is(PyObject *object, enum array_kind kind)
{
    return PyArray_Check(object) &&
           PyArray_TYPE((PyArrayObject *)object) == type_numbers[kind];
}

int array_view(struct array_view *view, PyObject *object, enum array_kind kind,
               const char *what)
{
    if (!array_is(object, kind)) {
        PyErr_Format(PyExc_TypeError, "%s: expected a NumPy array of %s", what,
                     type_names[kind]);
        return -1;
    }
    PyArrayObject *array = (PyArrayObject *)object;
    int rank = PyArray_NDIM(array);
    if (rank < 1 || rank > ARRAY_MAX_RANK) {
        PyErr_Format(PyExc_ValueError,
                     "%s: an array of %d dimensions, expected 1 to %d", what, rank,
                     ARRAY_MAX_RANK);
        return -1;
    }
    if (!PyArray_ISCARRAY_RO(array)) {
        PyErr_Format(
            PyExc_ValueError,
            "%s: the array is not contiguous, aligned and of native byte order", what);
        return -1;
    }
    view->data = PyArray_DATA(array);
    view->rank = (size_t)rank;
    for (int i = 0; i < rank; i++)
        view->shape[i] = PyArray_DIM(array, i);
    return 0;
}

PyObject *array_new(void **data, enum array_kind kind, size_t rank,
                    const int64_t *shape)
{
    npy_intp dims[ARRAY_MAX_RANK];
    for (size_t i = 0; i < rank; i++)
        dims[i] = (npy_intp)shape[i];
    PyObject *array = PyArray_SimpleNew((int)rank, dims, type_numbers[kind]);
    if (array != NULL)
        *data = PyArray_DATA((PyArrayObject *)array);
    return array;
}
