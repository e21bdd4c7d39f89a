/* The door between Python and the inner loop of the PREPBUFR decoder (_decode.h). Arrays come as buffers, whose lengths
   are checked here; the interpreter lock is released while bits are read. obsproc/bufr/compiled.py is the only caller. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "_decode.h"

/* The buffers that a call holds. Once one cannot be had, `hold` returns NULL for all that follow. */
typedef struct {
    Py_buffer *buffers;
    Py_ssize_t count, room;
    bool failed;
} Held;

static bool make_room(Held *held, Py_ssize_t room)
{
    *held = (Held){PyMem_Calloc((size_t)room, sizeof(Py_buffer)), 0, room, false};
    if (held->buffers == NULL)
        PyErr_NoMemory();
    return held->buffers != NULL;
}

static void let_go(Held *held)
{
    for (Py_ssize_t i = 0; i < held->count; i++)
        PyBuffer_Release(&held->buffers[i]);
    PyMem_Free(held->buffers);
}

/* A contiguous buffer of at least `least` rows of `size` bytes; `rows`, unless NULL, is how many it has. */
static void *hold(Held *held, PyObject *object, bool writable, Py_ssize_t size, int64_t least, int64_t *rows)
{
    if (held->failed)
        return NULL;
    held->failed = held->count == held->room || object == NULL ||
                   PyObject_GetBuffer(object, &held->buffers[held->count], writable ? PyBUF_WRITABLE : PyBUF_SIMPLE);
    if (held->failed)
        return NULL;
    Py_buffer *buffer = &held->buffers[held->count++];
    bool aligned = size % 8 != 0 || (uintptr_t)buffer->buf % 8 == 0;
    if (!aligned || buffer->len % size || buffer->len / size < least) {
        PyErr_Format(PyExc_ValueError, "buffer %zd: expected at least %lld rows of %zd bytes, got %zd bytes",
                     held->count, (long long)least, size, buffer->len);
        held->failed = true;
        return NULL;
    }
    if (rows != NULL)
        *rows = buffer->len / size;
    return buffer->buf;
}

PyDoc_STRVAR(split_doc, "split(data, first, last, count, start, end)\n\n"
                        "Bits at which the subsets of messages start and end; a message lies in bytes [first, last).\n"
                        "Returns (message, byte) of the first subset that does not fit, or None.");

static PyObject *split_messages(PyObject *Py_UNUSED(self), PyObject *args)
{
    PyObject *o[6];
    Held held;
    if (!PyArg_ParseTuple(args, "OOOOOO", &o[0], &o[1], &o[2], &o[3], &o[4], &o[5]) || !make_room(&held, 6))
        return NULL;
    int64_t bytes = 0, messages = 0, room = 0, done = 0, bad = -1, byte = -1;
    const uint8_t *data = hold(&held, o[0], false, 1, 0, &bytes);
    const int64_t *first = hold(&held, o[1], false, 8, 0, &messages);
    const int64_t *last = hold(&held, o[2], false, 8, messages, NULL);
    const int64_t *count = hold(&held, o[3], false, 8, messages, NULL);
    int64_t *start = hold(&held, o[4], true, 8, 0, &room);
    int64_t *end = hold(&held, o[5], true, 8, room, NULL);
    if (!held.failed) {
        Py_BEGIN_ALLOW_THREADS
        for (int64_t m = 0; m < messages && bad < 0; m++) {
            bool fits = first[m] >= 0 && first[m] <= last[m] && last[m] <= bytes;
            fits = fits && count[m] >= 0 && count[m] <= room - done;
            byte = fits ? split_message(data, first[m], last[m], count[m], start + done, end + done) : first[m];
            bad = fits && byte < 0 ? -1 : m;
            done += fits ? count[m] : 0;
        }
        Py_END_ALLOW_THREADS
    }
    let_go(&held);
    if (held.failed)
        return NULL;
    return bad < 0 ? Py_NewRef(Py_None) : Py_BuildValue("LL", (long long)bad, (long long)byte);
}

/* Fields from rows (in level, is text, stack, offset, width) and (reference, divisor, factor); columns not yet. */
static bool make_fields(Walk *w, const int64_t *place, const double *scale)
{
    Field *fields = PyMem_Calloc((size_t)w->field_count + 1, sizeof(Field));
    if (fields == NULL) {
        PyErr_NoMemory();
        return false;
    }
    for (int64_t f = 0; f < w->field_count; f++, place += 5, scale += 3)
        fields[f] = make_field(place, scale);
    w->fields = fields;
    return true;
}

/* A program: (operations, places, scales, level_is_report, number of stacks). */
static void hold_program(Held *held, PyObject *program, Walk *w)
{
    PyObject *operations, *places, *scales;
    int level_is_report;
    long long stacks;
    if (!PyArg_ParseTuple(program, "OOOpL", &operations, &places, &scales, &level_is_report, &stacks)) {
        held->failed = true;
        return;
    }
    w->operations = hold(held, operations, false, sizeof(Operation), 0, &w->operation_count);
    const int64_t *place = hold(held, places, false, 5 * sizeof(int64_t), 0, &w->field_count);
    const double *scale = hold(held, scales, false, 3 * sizeof(double), w->field_count, NULL);
    w->level_is_report = level_is_report;
    w->stack_count = stacks;
    if (held->failed || !make_fields(w, place, scale)) {
        held->failed = true;
        return;
    }
    if (!program_is_sound(w)) {
        PyErr_SetString(PyExc_ValueError, "the program is not sound");
        held->failed = true;
    }
}

/* The stacks: by stack (level, depth) of the deeper events, and the number of events by level. */
static void hold_stacks(Held *held, PyObject *list, Walk *w)
{
    for (int64_t s = 0; s < w->stack_count && !held->failed; s++) {
        PyObject *level, *depth, *events;
        if (!PyArg_ParseTuple(PyList_GET_ITEM(list, s), "OOO", &level, &depth, &events)) {
            held->failed = true;
            return;
        }
        w->stacks[s].level = hold(held, level, true, 8, 0, &w->stacks[s].rows);
        w->stacks[s].depth = hold(held, depth, true, 8, w->stacks[s].rows, NULL);
        w->stacks[s].events = hold(held, events, true, 8, w->level_rows, NULL);
    }
}

/* The columns: by field (current, deeper), the latter None outside of stacks. */
static void hold_columns(Held *held, PyObject *list, Walk *w, int64_t reports)
{
    for (int64_t f = 0; f < w->field_count && !held->failed; f++) {
        PyObject *current, *deeper;
        if (!PyArg_ParseTuple(PyList_GET_ITEM(list, f), "OO", &current, &deeper)) {
            held->failed = true;
            return;
        }
        Field *field = &w->fields[f];
        Py_ssize_t size = field->is_text ? (Py_ssize_t)field->width / 8 : 8;
        field->current = hold(held, current, true, size, field->in_level ? w->level_rows : reports, NULL);
        if (field->stack >= 0)
            field->deeper = hold(held, deeper, true, size, w->stacks[field->stack].rows, NULL);
    }
}

/* Take all subsets through the program. `rows` (subsets, 1 + stacks) of levels and of each stack's deeper events: how
   many each subset has, to be found by counting, or where those of each begin, for writing.
   Returns the first subset that does not end where it should, or -1. */
static int64_t walk_all(Walk *w, const int64_t *start, const int64_t *end, int64_t subsets, int64_t first_report,
                        int64_t *rows)
{
    int64_t *row = rows;
    for (int64_t i = 0; i < subsets; i++, row += 1 + w->stack_count) {
        w->next_level = w->writes ? row[0] : 0;
        for (int64_t s = 0; s < w->stack_count; s++)
            w->next_event[s] = w->writes ? row[1 + s] : 0;
        if (!walk_subset(w, start[i], end[i], first_report + i))
            return i;
        if (w->writes)
            continue;
        row[0] = w->next_level;
        for (int64_t s = 0; s < w->stack_count; s++)
            row[1 + s] = w->next_event[s];
    }
    return -1;
}

/* What `count` and `write` have in common: the program, data, start, end and rows of their arguments. */
static void hold_subsets(Held *held, PyObject *o[5], Walk *w, const int64_t **start, const int64_t **end,
                         int64_t **rows, int64_t *subsets)
{
    hold_program(held, o[0], w);
    w->data = hold(held, o[1], false, 1, 0, &w->bytes);
    *start = hold(held, o[2], false, 8, 0, subsets);
    *end = hold(held, o[3], false, 8, *subsets, NULL);
    *rows = hold(held, o[4], !w->writes, 8 * (Py_ssize_t)(1 + w->stack_count), *subsets, NULL);
}

static PyObject *walked(Held *held, Walk *w, const int64_t *start, const int64_t *end, int64_t *rows, int64_t subsets,
                        int64_t first_report)
{
    int64_t bad = -1;
    if (!held->failed) {
        Py_BEGIN_ALLOW_THREADS
        bad = walk_all(w, start, end, subsets, first_report, rows);
        Py_END_ALLOW_THREADS
    }
    PyMem_Free(w->fields);
    let_go(held);
    return held->failed ? NULL : PyLong_FromLongLong(bad);
}

PyDoc_STRVAR(count_doc, "count(program, data, start, end, rows, repeated)\n\n"
                        "Count the rows of subsets, bits [start, end), into `rows` (subsets, 1 + stacks): levels, and\n"
                        "deeper events by stack; set `repeated` (operations,) to 1 where a body occurs at all.\n"
                        "Returns the first subset that does not end where its byte count says, or -1.");

static PyObject *count_rows(PyObject *Py_UNUSED(self), PyObject *args)
{
    PyObject *o[5], *repeated;
    Held held;
    if (!PyArg_ParseTuple(args, "OOOOOO", &o[0], &o[1], &o[2], &o[3], &o[4], &repeated) || !make_room(&held, 8))
        return NULL;
    const int64_t *start, *end;
    int64_t *rows, subsets = 0;
    Walk w = {.writes = false};
    hold_subsets(&held, o, &w, &start, &end, &rows, &subsets);
    w.repeated = hold(&held, repeated, true, 1, w.operation_count, NULL);
    return walked(&held, &w, start, end, rows, subsets, 0);
}

PyDoc_STRVAR(write_doc, "write(program, data, start, end, rows, first_report, reports, levels, columns, stacks)\n\n"
                        "Write the values of subsets into tables of so many reports and levels. The rows of each\n"
                        "subset begin at `rows` (subsets, 1 + stacks), its report is first_report + i. columns: by\n"
                        "field (current, deeper or None); stacks: (level, depth, events by level).\n"
                        "Returns the first subset that does not end where its byte count says, or -1.");

static PyObject *write_values(PyObject *Py_UNUSED(self), PyObject *args)
{
    PyObject *o[5], *columns, *stacks;
    long long first_report, reports, levels;
    if (!PyArg_ParseTuple(args, "OOOOOLLLO!O!", &o[0], &o[1], &o[2], &o[3], &o[4], &first_report, &reports, &levels,
                          &PyList_Type, &columns, &PyList_Type, &stacks))
        return NULL;
    Held held;
    if (!make_room(&held, 7 + 2 * PyList_GET_SIZE(columns) + 3 * PyList_GET_SIZE(stacks)))
        return NULL;
    const int64_t *start, *end;
    int64_t *rows, subsets = 0;
    Stack room[MOST_STACKS] = {{0}};
    Walk w = {.writes = true, .stacks = room, .level_rows = levels};
    hold_subsets(&held, o, &w, &start, &end, &rows, &subsets);
    bool fits = levels >= 0 && first_report >= 0 && first_report <= reports - subsets &&
                PyList_GET_SIZE(columns) == w.field_count && PyList_GET_SIZE(stacks) == w.stack_count;
    if (!held.failed && !fits) {
        PyErr_SetString(PyExc_ValueError, "the tables do not fit the program or the subsets");
        held.failed = true;
    }
    hold_stacks(&held, stacks, &w);
    hold_columns(&held, columns, &w, reports);
    return walked(&held, &w, start, end, rows, subsets, first_report);
}

static PyMethodDef methods[] = {
    {"split", split_messages, METH_VARARGS, split_doc},
    {"count", count_rows, METH_VARARGS, count_doc},
    {"write", write_values, METH_VARARGS, write_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "_decode", .m_doc = "The inner loop of the PREPBUFR decoder.", .m_methods = methods,
};

PyMODINIT_FUNC PyInit__decode(void)
{
    return PyModuleDef_Init(&module);
}
