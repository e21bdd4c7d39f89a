/* The door between Python and the kernel of the local analysis. The kernel is compiled once for each instruction set;
   which one runs is chosen when it is called. Arrays come as buffers, whose shapes are checked here; the interpreter lock
   is released while columns are solved. letkf_mpi/kernel/lanes.py is the only caller. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "_lanes.h"
#include "_lanes_nearest.h"

#define JOIN(a, b) a##_##b
#define NAMED(a, b) JOIN(a, b)

/* Three instruction sets, two precisions: a vector is as long as the instruction set has them. */
#if defined(__x86_64__)
#define INSTRUCTIONS avx512
#define TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma,prefer-vector-width=512")))
#define BYTES 64
#define PANEL 4
#include "_lanes_instructions.h"

#define INSTRUCTIONS avx2
#define TARGET __attribute__((target("avx2,fma")))
#define BYTES 32
#define PANEL 2
#include "_lanes_instructions.h"
#endif

#define INSTRUCTIONS baseline
#define TARGET
#define BYTES 16
#define PANEL 2
#include "_lanes_instructions.h"

/* The kernel as compiled for an instruction set. */
typedef struct {
    const char *name;
    bool (*analyse)(const Shared *, const Options *, const Tile *, Room *);
    bool (*weights)(const Shared *, const Options *, int64_t, const double *, const double *, double *, double *,
                    Room *);
} Variant;

static const Variant variants[] = {
#if defined(__x86_64__)
    {"avx512", analyse_avx512, weights_avx512},
    {"avx2", analyse_avx2, weights_avx2},
#endif
    {"baseline", analyse_baseline, weights_baseline},
};
enum { VARIANTS = sizeof variants / sizeof variants[0] };

static bool runs_here(int variant)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (variant == 0)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    if (variant == 1)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    (void)variant;
    return true;
}

/* The variant of this name, NULL with an error set if it is none that runs here. */
static const Variant *variant_named(const char *name)
{
    for (int i = 0; i < VARIANTS; i++)
        if (strcmp(variants[i].name, name) == 0 && runs_here(i))
            return &variants[i];
    PyErr_Format(PyExc_ValueError, "no kernel for instructions %s on this machine", name);
    return NULL;
}

PyDoc_STRVAR(instructions_doc, "instructions()\n\nInstruction sets that this machine has, the fastest first.");

static PyObject *instructions(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(args))
{
    PyObject *names = PyList_New(0);
    for (int i = 0; names != NULL && i < VARIANTS; i++) {
        PyObject *name = runs_here(i) ? PyUnicode_FromString(variants[i].name) : NULL;
        if (name != NULL && PyList_Append(names, name) < 0)
            Py_CLEAR(names);
        Py_XDECREF(name);
    }
    return names;
}

/* The buffers that a call holds. Once one cannot be had, `hold` returns NULL for all that follow. */
#define MOST_HELD 40
typedef struct {
    Py_buffer buffers[MOST_HELD];
    int count;
    bool failed;
} Held;

static void let_go(Held *held)
{
    for (int i = 0; i < held->count; i++)
        PyBuffer_Release(&held->buffers[i]);
    held->count = 0;
}

/* A contiguous buffer of exactly `elements` of `size` bytes; any number of them if `elements` is -1. */
static void *hold(Held *held, PyObject *object, bool writable, Py_ssize_t size, int64_t elements)
{
    if (held->failed)
        return NULL;
    held->failed = held->count == MOST_HELD ||
                   PyObject_GetBuffer(object, &held->buffers[held->count], writable ? PyBUF_WRITABLE : PyBUF_SIMPLE);
    if (held->failed)
        return NULL;
    Py_buffer *buffer = &held->buffers[held->count++];
    if (buffer->len % size || (uintptr_t)buffer->buf % (uintptr_t)size ||
        (elements >= 0 && buffer->len / size != elements)) {
        PyErr_Format(PyExc_ValueError, "buffer %d: expected %lld elements of %zd bytes, got %zd bytes", held->count,
                     (long long)elements, size, buffer->len);
        held->failed = true;
    }
    return buffer->buf;
}

static int64_t length(const Held *held, Py_ssize_t size)
{
    return held->failed ? 0 : held->buffers[held->count - 1].len / size;
}

/* What tiles share, with the buffers it stands on and working space that no thread uses just now; the interpreter lock
   guards that. */
#define MOST_ROOMS 64
typedef struct {
    Held held;
    Shared shared;
    Room room[MOST_ROOMS];
    int rooms;
} Prepared;

static Room take_room(Prepared *prepared)
{
    return prepared->rooms ? prepared->room[--prepared->rooms] : (Room){NULL, 0};
}

static void keep_room(Prepared *prepared, Room room)
{
    if (prepared->rooms < MOST_ROOMS)
        prepared->room[prepared->rooms++] = room;
    else
        free(room.memory);
}

static void forget(PyObject *capsule)
{
    Prepared *prepared = PyCapsule_GetPointer(capsule, "letkf_mpi.Shared");
    let_go(&prepared->held);
    while (prepared->rooms)
        free(take_room(prepared).memory);
    PyMem_Free(prepared);
}

/* Whether numbers ascend from 0 to `last` at the end. */
static bool ascend(const int64_t *numbers, int64_t count, int64_t last)
{
    bool good = count > 0 && numbers[0] == 0 && numbers[count - 1] == last;
    for (int64_t i = 1; good && i < count; i++)
        good = numbers[i] >= numbers[i - 1];
    return good;
}

static bool within(const int64_t *numbers, int64_t count, int64_t end)
{
    for (int64_t i = 0; i < count; i++)
        if (numbers[i] < 0 || numbers[i] >= end)
            return false;
    return true;
}

/* Whether all indices lie where they should. */
static bool is_sound(const Shared *s)
{
    bool good = s->table.members >= 2 && within(s->rows, s->nobs, s->nobs) &&
                ascend(s->first_row, s->sites + 1, s->nobs) && within(s->level, s->groups, s->levels) &&
                ascend(s->first_channel, s->groups + 1, s->channels) && within(s->channel, s->channels, s->channels);
    for (int64_t i = 1; good && i < s->groups; i++)
        good = s->level[i] >= s->level[i - 1];
    for (int64_t q = 0; good && q < s->limits; q++)
        good = within(s->limit[q].kind, s->nobs, s->limit[q].kinds) &&
               within(s->limit[q].most, s->limit[q].kinds, INT64_MAX);
    const Poles *both[] = {&s->single, &s->precise};
    for (int i = 0; good && i < 2; i++)
        good = both[i]->width <= MOST_POLES && both[i]->buckets > 0 &&
               within(both[i]->order, both[i]->buckets, both[i]->width + 1);
    return good;
}

static bool hold_poles(Held *held, PyObject *tuple, Poles *poles)
{
    PyObject *order, *shift, *weight;
    if (!PyArg_ParseTuple(tuple, "OOO", &order, &shift, &weight))
        return false;
    poles->order = hold(held, order, false, 8, -1);
    poles->buckets = length(held, 8);
    poles->shift = hold(held, shift, false, 8, -1);
    poles->width = poles->buckets ? length(held, 8) / poles->buckets : 0;
    poles->weight = hold(held, weight, false, 8, poles->buckets * poles->width);
    return !held->failed;
}

/* Limits: a tuple of (kind of each row, most of each kind). */
static bool hold_limits(Held *held, PyObject *tuple, Shared *s)
{
    s->limits = PyTuple_GET_SIZE(tuple);
    if (s->limits > MOST_LIMITS) {
        PyErr_Format(PyExc_ValueError, "limits: expected %d at most, got %lld", MOST_LIMITS, (long long)s->limits);
        return false;
    }
    for (int64_t q = 0; q < s->limits; q++) {
        PyObject *kind, *most;
        Limit *limit = &s->limit[q];
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(tuple, q), "OO", &kind, &most))
            return false;
        limit->kind = hold(held, kind, false, 8, s->nobs);
        limit->most = hold(held, most, false, 8, -1);
        limit->kinds = length(held, 8);
    }
    return !held->failed;
}

/* A taper: (cut, knot, slope, shift, coefficients). */
static bool hold_taper(Held *held, PyObject *tuple, Taper *taper)
{
    PyObject *slope, *shift, *coefficient;
    if (!PyArg_ParseTuple(tuple, "ddOOO", &taper->cut, &taper->knot, &slope, &shift, &coefficient))
        return false;
    const double *both[] = {hold(held, slope, false, 8, 2), hold(held, shift, false, 8, 2)};
    taper->coefficient = hold(held, coefficient, false, 8, -1);
    taper->order = length(held, 8) / 2;
    if (held->failed)
        return false;
    memcpy(taper->slope, both[0], sizeof taper->slope);
    memcpy(taper->shift, both[1], sizeof taper->shift);
    return true;
}

/* Geometry: (points of the sites, taper), or () where tiles come with their tapers. */
static bool hold_geometry(Held *held, PyObject *tuple, Shared *s)
{
    PyObject *point, *taper;
    if (PyTuple_GET_SIZE(tuple) == 0)
        return true;
    if (!PyArg_ParseTuple(tuple, "OO!", &point, &PyTuple_Type, &taper))
        return false;
    s->point = hold(held, point, false, 8, 3 * s->sites);
    return hold_taper(held, taper, &s->taper);
}

PyDoc_STRVAR(prepare_doc,
             "prepare(members, levels, (Y, precision, d, square, power), (rows, first_row), vertical, (sees, sees_all, level, "
             "first_channel, channel),\n        humidity, ((kind, most), ...), (points, taper) or (), single, precise)\n\n"
             "What all tiles share, checked; see _lanes.h.");

static PyObject *prepare(PyObject *Py_UNUSED(self), PyObject *args)
{
    PyObject *o[14], *limits, *geometry, *single, *precise;
    long long members, levels;
    if (!PyArg_ParseTuple(args, "LL(OOOOO)(OO)O(OOOOO)OO!O!O!O!", &members, &levels, &o[0], &o[1], &o[2], &o[3], &o[4],
                          &o[5], &o[6], &o[7], &o[8], &o[9], &o[10], &o[11], &o[12], &o[13], &PyTuple_Type,
                          &limits, &PyTuple_Type, &geometry, &PyTuple_Type, &single, &PyTuple_Type, &precise))
        return NULL;
    Prepared *prepared = PyMem_Calloc(1, sizeof(Prepared));
    if (prepared == NULL)
        return PyErr_NoMemory();
    Held *held = &prepared->held;
    Shared *s = &prepared->shared;
    s->table.members = members, s->levels = levels;
    s->table.precision = hold(held, o[1], false, 8, -1);
    s->nobs = length(held, 8);
    s->table.Y = hold(held, o[0], false, 8, s->nobs * members);
    s->table.d = hold(held, o[2], false, 8, s->nobs);
    s->square = hold(held, o[3], false, 8, s->nobs);
    s->power = hold(held, o[4], false, 8, s->nobs);
    s->rows = hold(held, o[5], false, 8, s->nobs);
    s->first_row = hold(held, o[6], false, 8, -1);
    s->sites = length(held, 8) - 1;
    s->vertical = hold(held, o[7], false, 8, s->nobs * levels);
    s->level = hold(held, o[10], false, 8, -1);
    s->groups = length(held, 8);
    s->sees = hold(held, o[8], false, 1, s->groups * s->nobs);
    s->first_channel = hold(held, o[11], false, 8, s->groups + 1);
    s->channel = hold(held, o[12], false, 8, -1);
    s->channels = length(held, 8);
    s->humidity = hold(held, o[13], false, 1, s->channels);
    s->sees_all = hold(held, o[9], false, 1, s->groups);
    bool good = hold_limits(held, limits, s) && hold_geometry(held, geometry, s) &&
                hold_poles(held, single, &s->single) && hold_poles(held, precise, &s->precise);
    if (good && !is_sound(s)) {
        PyErr_SetString(PyExc_ValueError, "prepare: an index lies outside its table");
        good = false;
    }
    PyObject *capsule = good ? PyCapsule_New(prepared, "letkf_mpi.Shared", forget) : NULL;
    if (capsule == NULL) {
        let_go(held);
        PyMem_Free(prepared);
    }
    return capsule;
}

/* Options: (single, all ones, relaxation, its alpha, most condition number). */
static bool read_options(PyObject *tuple, Options *options)
{
    int single, all_ones;
    long long relaxation;
    if (!PyArg_ParseTuple(tuple, "ppLdd", &single, &all_ones, &relaxation, &options->alpha, &options->most_condition))
        return false;
    options->single = single, options->all_ones = all_ones, options->relaxation = relaxation;
    return true;
}

/* The background, (k, channels, width) float of any strides but the last. */
static void hold_background(Held *held, PyObject *object, const Shared *s, Tile *tile)
{
    Py_buffer *buffer = &held->buffers[held->count];
    if (held->failed || PyObject_GetBuffer(object, buffer, PyBUF_STRIDES)) {
        held->failed = true;
        return;
    }
    held->count++;
    if (buffer->ndim != 3 || buffer->itemsize != 4 || buffer->shape[0] != s->table.members ||
        buffer->shape[1] != s->channels || (buffer->shape[2] > 1 && buffer->strides[2] != 4)) {
        PyErr_SetString(PyExc_ValueError, "X: expected float32 (member, channel, column) with columns side by side");
        held->failed = true;
        return;
    }
    tile->X = buffer->buf, tile->width = buffer->shape[2];
    tile->member_stride = buffer->strides[0], tile->channel_stride = buffer->strides[1];
}

/* Where a tile's results go. */
static void hold_results(Held *held, PyObject *levels, PyObject *channels, PyObject *states, const Shared *s, Tile *t)
{
    PyObject *o[14];
    double **level[] = {&t->count, &t->weight_sum, &t->square, &t->power, &t->signal, &t->relaxation, &t->left_out};
    double **channel[] = {&t->background_spread, &t->mean, &t->spread, &t->least, &t->most};
    const int64_t plane = s->channels * t->width;
    held->failed = held->failed || !PyArg_ParseTuple(levels, "OOOOOOO", &o[0], &o[1], &o[2], &o[3], &o[4], &o[5],
                                     &o[6]) ||
                   !PyArg_ParseTuple(channels, "OOOOO", &o[7], &o[8], &o[9], &o[10], &o[11]) ||
                   !PyArg_ParseTuple(states, "OO", &o[12], &o[13]);
    if (held->failed)
        return;
    for (int i = 0; i < 7; i++)
        *level[i] = hold(held, o[i], true, 8, s->levels * t->width);
    for (int i = 0; i < 5; i++)
        *channel[i] = hold(held, o[7 + i], true, 8, plane);
    t->clipped = hold(held, o[12], true, 8, t->width);
    t->analysis = hold(held, o[13], true, 4, s->table.members * plane);
}

PyDoc_STRVAR(analyse_doc,
             "analyse(instructions, shared, options, (site, points or horizontal, inflation, X), level results, channel "
             "results,\n        (clipped, analysis))\n\nAnalyse a tile; see _lanes.h.");

static PyObject *analyse(PyObject *Py_UNUSED(self), PyObject *args)
{
    const char *name;
    PyObject *capsule, *settings, *o[7];
    if (!PyArg_ParseTuple(args, "sOO!(OOOO)O!O!O!", &name, &capsule, &PyTuple_Type, &settings, &o[0], &o[1], &o[2],
                          &o[3], &PyTuple_Type, &o[4], &PyTuple_Type, &o[5], &PyTuple_Type, &o[6]))
        return NULL;
    const Variant *variant = variant_named(name);
    Prepared *prepared = PyCapsule_GetPointer(capsule, "letkf_mpi.Shared");
    Options options;
    if (variant == NULL || prepared == NULL || !read_options(settings, &options))
        return NULL;
    const Shared *s = &prepared->shared;
    Held held = {.count = 0};
    Tile tile = {0};
    hold_background(&held, o[3], s, &tile);
    tile.site = hold(&held, o[0], false, 8, -1);
    tile.sites = length(&held, 8);
    if (s->point != NULL)
        tile.point = hold(&held, o[1], false, 8, 3 * tile.width);
    else
        tile.horizontal = hold(&held, o[1], false, 8, tile.sites * tile.width);
    tile.inflation = hold(&held, o[2], false, 8, s->levels * tile.width);
    hold_results(&held, o[4], o[5], o[6], s, &tile);
    bool done = false;
    if (!held.failed && !within(tile.site, tile.sites, s->sites)) {
        PyErr_SetString(PyExc_ValueError, "analyse: a site lies outside the table");
    } else if (!held.failed) {
        Room room = take_room(prepared);
        Py_BEGIN_ALLOW_THREADS
        done = variant->analyse(s, &options, &tile, &room);
        Py_END_ALLOW_THREADS
        keep_room(prepared, room);
        if (!done)
            PyErr_NoMemory();
    }
    let_go(&held);
    return done ? Py_NewRef(Py_None) : NULL;
}

PyDoc_STRVAR(weights_doc, "weights(instructions, shared, options, taper, inflation, mean, perturbations)\n\n"
                          "Weights of columns that see all of the table's observations; see _lanes.h.");

static PyObject *weights(PyObject *Py_UNUSED(self), PyObject *args)
{
    const char *name;
    PyObject *capsule, *settings, *o[4];
    if (!PyArg_ParseTuple(args, "sOO!OOOO", &name, &capsule, &PyTuple_Type, &settings, &o[0], &o[1], &o[2], &o[3]))
        return NULL;
    const Variant *variant = variant_named(name);
    Prepared *prepared = PyCapsule_GetPointer(capsule, "letkf_mpi.Shared");
    Options options;
    if (variant == NULL || prepared == NULL || !read_options(settings, &options))
        return NULL;
    const Shared *s = &prepared->shared;
    const int64_t k = s->table.members;
    Held held = {.count = 0};
    const double *inflation = hold(&held, o[1], false, 8, -1);
    const int64_t width = length(&held, 8);
    const double *taper = hold(&held, o[0], false, 8, s->nobs * width);
    double *mean = hold(&held, o[2], true, 8, width * k), *perturbations = hold(&held, o[3], true, 8, width * k * k);
    bool done = false;
    if (!held.failed) {
        Room room = take_room(prepared);
        Py_BEGIN_ALLOW_THREADS
        done = variant->weights(s, &options, width, taper, inflation, mean, perturbations, &room);
        Py_END_ALLOW_THREADS
        keep_room(prepared, room);
        if (!done)
            PyErr_NoMemory();
    }
    let_go(&held);
    return done ? Py_NewRef(Py_None) : NULL;
}

static PyMethodDef methods[] = {
    {"instructions", instructions, METH_NOARGS, instructions_doc},
    {"prepare", prepare, METH_VARARGS, prepare_doc},
    {"analyse", analyse, METH_VARARGS, analyse_doc},
    {"weights", weights, METH_VARARGS, weights_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "letkf_mpi.kernel._lanes", "The local analysis in lanes.", -1, methods,
                                    NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__lanes(void)
{
    return PyModule_Create(&module);
}
