/* The inner loop of the PREPBUFR decoder, plain C: take subsets through a program and write their values into tables.

   A program (obsproc/bufr/program.py) is a list of operations over the bits of one subset. ADVANCE passes a segment of
   fixed layout, in which fields lie at known offsets; REPEAT reads a count and takes its body, the operations up to
   `next`, that many times. Every value goes to one cell: of the report's row, of the level's row, or of the row of an
   event below the current one. obsproc/bufr/reference.py says the same in NumPy, and defines what is right.

   Nothing in the data is trusted. Every operation is checked against the end of its subset and every row against the
   length of its table; every repetition takes at least one bit, so a walk ends after at most as many steps as there are
   bits; `program_is_sound` checks the program itself once. Nothing is allocated here. */

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define ALWAYS_INLINE inline __attribute__((always_inline)) /* a call for each bit that says "not there" costs a third */

enum { MOST_STACKS = 64, MOST_NESTED = 16, MOST_COUNT_BITS = 32, MOST_NUMBER_BITS = 56 };
enum { PLAIN = -1, LEVEL = -2 };      /* role of a REPEAT that is not an event stack */
enum { UNKNOWN_LENGTH = 65535 };      /* byte count of a subset that is too long to say, and alone in its message */
static const int64_t MOST_BITS = INT64_C(1) << 28; /* of a segment; a message has at most 2^24 bytes */

typedef struct {
    int64_t repeats; /* 0: ADVANCE, 1: REPEAT */
    int64_t bits;    /* width of the segment, or of the count; 0: the count is `fixed` */
    int64_t fixed;
    int64_t next;        /* the operation after this one and its body */
    int64_t role;        /* of a REPEAT: LEVEL, PLAIN, or the number of an event stack */
    int64_t first, last; /* its fields, or all fields in its body */
} Operation;

typedef struct {
    int64_t offset, width; /* bits, from the start of the segment */
    uint64_t mask, missing; /* of an integer: all ones; the same, or what no integer is where it cannot be missing */
    double reference, divisor, factor; /* value = (integer + reference) / divisor * factor */
    int64_t in_level, is_text; /* else a value of the report; else a number */
    int64_t stack;             /* the event stack whose body it stands in, or PLAIN */
    void *current;             /* column of the reports or of the levels */
    void *deeper;              /* column of the events below the current one, NULL outside a stack */
} Field;

typedef struct {
    int64_t rows;          /* of the events */
    int64_t *level, *depth; /* (rows,) */
    int64_t *events;       /* (nlevel,) number of events in each level */
} Stack;

typedef struct {
    const uint8_t *data;
    int64_t bytes;
    const Operation *operations;
    int64_t operation_count, field_count, stack_count;
    bool level_is_report; /* levels do not repeat: the report is its only level */
    bool writes;          /* else it counts rows and notes the operations that are ever repeated */
    uint8_t *repeated;    /* (operation_count,) 1 or left alone, when counting */
    Field *fields;        /* with columns, when writing */
    Stack *stacks;
    int64_t level_rows;
    /* where the walk is */
    int64_t position, end; /* bits */
    int64_t report, level; /* rows, level -1 outside of levels */
    int64_t next_level, next_event[MOST_STACKS];
} Walk;

/* A field from (in level, is text, stack, offset, width) and (reference, divisor, factor), its columns not yet known. */
static Field make_field(const int64_t place[5], const double scale[3])
{
    int64_t width = place[4];
    uint64_t mask = width > 0 && width < 64 ? (UINT64_C(1) << width) - 1 : UINT64_MAX;
    return (Field){.in_level = place[0] != 0, .is_text = place[1] != 0, .stack = place[2], .offset = place[3], .width = width,
                   .mask = mask, .missing = width > 1 ? mask : UINT64_MAX,
                   .reference = scale[0], .divisor = scale[1], .factor = scale[2]};
}

/* Whether a field of a body of some role lies in its segment, and in the stack it says. */
static bool is_placed(const Field *f, int64_t bits, int64_t role)
{
    int64_t most = f->is_text ? bits : MOST_NUMBER_BITS;
    if (f->width < 1 || f->width > most || (f->is_text && f->width % 8))
        return false;
    return f->offset >= 0 && f->offset <= bits - f->width && (f->stack == PLAIN || (f->stack == role && role >= 0));
}

typedef struct {
    int64_t fields;
    bool levels, stacks[MOST_STACKS];
} Met;

/* Whether operations [i, stop), the body of a REPEAT of some role, cannot lead a walk astray, whatever the data.
   What was met on the way: each field belongs to one segment, in the order of the operations; each table to one block. */
static bool is_sound(const Walk *w, int64_t i, int64_t stop, int64_t role, bool in_level, int nested, Met *met)
{
    in_level = in_level || role == LEVEL;
    if (nested > MOST_NESTED)
        return false;
    while (i < stop) {
        const Operation *op = &w->operations[i];
        if (op->next <= i || op->next > stop || op->bits < 0 || op->bits > MOST_BITS)
            return false;
        if (op->first != met->fields || op->last < op->first || op->last > w->field_count)
            return false;
        if (op->repeats) {
            bool counted = op->bits > 0 ? op->bits <= MOST_COUNT_BITS : op->fixed > 0 && op->fixed < 256;
            if (!counted || op->next == i + 1 || op->role < LEVEL || op->role >= w->stack_count)
                return false;
            if (op->role == LEVEL ? in_level || met->levels : op->role >= 0 && (!in_level || met->stacks[op->role]))
                return false; /* stacks stand in levels, levels do not */
            if (op->role == LEVEL)
                met->levels = true;
            if (op->role >= 0)
                met->stacks[op->role] = true;
            if (!is_sound(w, i + 1, op->next, op->role, in_level, nested + 1, met) || met->fields != op->last)
                return false;
        } else {
            if (op->next != i + 1 || op->bits == 0)
                return false;
            for (; met->fields < op->last; met->fields++) {
                const Field *f = &w->fields[met->fields];
                if (!is_placed(f, op->bits, role) || (!w->level_is_report && f->in_level != in_level))
                    return false;
            }
        }
        i = op->next;
    }
    return true;
}

/* Whether the program of a walk is one that `count_body` and `run` may be given. */
static bool program_is_sound(const Walk *w)
{
    Met met = {0};
    return w->stack_count >= 0 && w->stack_count <= MOST_STACKS &&
           is_sound(w, 0, w->operation_count, PLAIN, w->level_is_report, 0, &met) && met.fields == w->field_count;
}

/* The 8 bytes from `byte`, which lies inside the data, as one big-endian integer; zeros follow the end of the data. */
static inline uint64_t window_at(const Walk *w, int64_t byte)
{
    const uint8_t *p = w->data + byte;
    if (byte <= w->bytes - 8)
        return (uint64_t)p[0] << 56 | (uint64_t)p[1] << 48 | (uint64_t)p[2] << 40 | (uint64_t)p[3] << 32 |
               (uint64_t)p[4] << 24 | (uint64_t)p[5] << 16 | (uint64_t)p[6] << 8 | (uint64_t)p[7];
    uint64_t window = 0;
    for (int64_t i = 0; i < w->bytes - byte; i++)
        window |= (uint64_t)p[i] << (56 - 8 * i);
    return window;
}

/* An unsigned integer of `width` <= 56 bits at a bit that, with its width, lies inside the data; mask: `width` ones. */
static inline uint64_t read_bits(const Walk *w, int64_t bit, int64_t width, uint64_t mask)
{
    return window_at(w, bit >> 3) >> (64 - width - (bit & 7)) & mask;
}

static inline double read_number(const Walk *w, const Field *f)
{
    uint64_t integer = read_bits(w, w->position + f->offset, f->width, f->mask);
    double value = ((double)(int64_t)integer + f->reference) / f->divisor * f->factor;
    return integer == f->missing ? NAN : value;
}

/* A text without trailing blanks; all ones is missing, an empty text. */
static void read_text(const Walk *w, const Field *f, char *cell)
{
    bool missing = true;
    int64_t length = f->width / 8, kept = 0;
    for (int64_t i = 0; i < length; i++) {
        uint64_t c = read_bits(w, w->position + f->offset + 8 * i, 8, 255);
        cell[i] = (char)c;
        missing = missing && c == 255;
        if (c != ' ' && c != 0)
            kept = i + 1;
    }
    if (missing)
        kept = 0;
    memset(cell + kept, 0, (size_t)(length - kept));
}

/* The fields of a segment into the current rows. */
static void write_current(const Walk *w, const Operation *op)
{
    const int64_t rows[2] = {w->report, w->level};
    const Field *last = w->fields + op->last;
    for (const Field *f = w->fields + op->first; f < last; f++) {
        int64_t row = rows[f->in_level];
        if (f->is_text)
            read_text(w, f, (char *)f->current + row * (f->width / 8));
        else
            ((double *)f->current)[row] = read_number(w, f);
    }
}

/* The fields of a stack into the row of one of its deeper events. */
static void write_deeper(const Walk *w, const Operation *op, int64_t event)
{
    for (const Field *f = w->fields + op->first; f < w->fields + op->last; f++) {
        if (f->deeper == NULL)
            continue;
        if (f->is_text)
            read_text(w, f, (char *)f->deeper + event * (f->width / 8));
        else
            ((double *)f->deeper)[event] = read_number(w, f);
    }
}

/* Nothing is there where a body is not repeated at all. */
static void write_missing(const Walk *w, const Operation *op)
{
    for (const Field *f = w->fields + op->first; f < w->fields + op->last; f++) {
        int64_t row = f->in_level ? w->level : w->report;
        if (row < 0)
            continue;
        if (f->is_text)
            memset((char *)f->current + row * (f->width / 8), 0, (size_t)(f->width / 8));
        else
            ((double *)f->current)[row] = NAN;
    }
}

/* How often a REPEAT whose count begins at a bit takes its body. */
static inline int64_t repetitions(const Walk *w, const Operation *op, int64_t bit)
{
    return op->bits ? (int64_t)read_bits(w, bit, op->bits, (UINT64_C(1) << op->bits) - 1) : op->fixed;
}

/* Whether the body of a REPEAT is a single segment. */
static inline bool is_straight(const Walk *w, int64_t i)
{
    return w->operations[i].next == i + 2 && !w->operations[i + 1].repeats;
}

/* Begin the next level, or the event `depth` > 0 of a stack; its row in *row. False where there is no such row. */
static inline bool next_level(Walk *w)
{
    w->level = w->next_level++;
    return !w->writes || (w->level >= 0 && w->level < w->level_rows);
}

static inline bool next_event(Walk *w, int64_t stack, int64_t depth, int64_t *row)
{
    *row = w->next_event[stack]++;
    const Stack *s = &w->stacks[stack];
    if (*row < 0 || *row >= s->rows || w->level < 0)
        return false;
    s->level[*row] = w->level;
    s->depth[*row] = depth;
    return true;
}

/* Pass a segment, writing its fields. `current`: this is the first repetition on every way down from its row; `event`:
   row of the deeper event whose stack repeats it, or -1. False where it runs over the end of the subset. */
static inline bool advance(Walk *w, const Operation *op, bool current, int64_t event)
{
    if (op->bits > w->end - w->position)
        return false;
    if (event >= 0)
        write_deeper(w, op, event);
    else if (current)
        write_current(w, op);
    w->position += op->bits;
    return true;
}

/* Take operations [i, stop) from the present bit and count rows. False where they run over the end of the subset. */
static bool count_body(Walk *w, int64_t i, int64_t stop)
{
    int64_t position = w->position;
    const int64_t end = w->end;
    while (i < stop) {
        const Operation *op = &w->operations[i];
        if (op->bits > end - position)
            return false;
        int64_t here = i, times = op->repeats ? repetitions(w, op, position) : 0;
        position += op->bits;
        i = op->next;
        if (times == 0)
            continue;
        w->repeated[here] = 1;
        if (op->role == LEVEL)
            w->next_level += times;
        else if (op->role >= 0)
            w->next_event[op->role] += times - 1;
        if (is_straight(w, here)) {
            int64_t bits = times * op[1].bits; /* below 2^60: see MOST_COUNT_BITS and MOST_BITS */
            if (bits > end - position)
                return false;
            position += bits;
            continue;
        }
        w->position = position;
        for (int64_t r = 0; r < times; r++)
            if (!count_body(w, here + 1, i))
                return false;
        position = w->position;
    }
    w->position = position;
    return true;
}

static bool run(Walk *w, int64_t i, int64_t stop, bool current, int64_t event);

static ALWAYS_INLINE bool repeat(Walk *w, int64_t i, bool current)
{
    const Operation *op = &w->operations[i];
    if (op->bits > w->end - w->position)
        return false;
    int64_t times = repetitions(w, op, w->position);
    w->position += op->bits;
    if (times == 0) {
        if (current)
            write_missing(w, op);
        return true;
    }
    bool straight = is_straight(w, i);
    if (op->role >= 0) {
        if (w->level < 0)
            return false;
        w->stacks[op->role].events[w->level] += times;
    }
    for (int64_t r = 0; r < times; r++) {
        bool first = op->role == LEVEL || (current && r == 0);
        int64_t event = -1;
        if (op->role == LEVEL && !next_level(w))
            return false;
        if (op->role >= 0 && r > 0 && !next_event(w, op->role, r, &event))
            return false;
        if (!(straight ? advance(w, op + 1, first, event) : run(w, i + 1, op->next, first, event)))
            return false;
    }
    if (op->role == LEVEL)
        w->level = -1;
    return true;
}

/* Take operations [i, stop) from the present bit and write values; arguments and result as in `advance`. */
static bool run(Walk *w, int64_t i, int64_t stop, bool current, int64_t event)
{
    while (i < stop) {
        const Operation *op = &w->operations[i];
        if (!(op->repeats ? repeat(w, i, current) : advance(w, op, current, event)))
            return false;
        i = op->next;
    }
    return true;
}

/* Take one subset, bits [start, end), through the program; rows are counted on from where `w` stands.
   False unless it lies in the data and ends where it should. */
static bool walk_subset(Walk *w, int64_t start, int64_t end, int64_t report)
{
    if (start < 0 || end < start || end / 8 > w->bytes || (end / 8 == w->bytes && end % 8))
        return false;
    w->position = start;
    w->end = end;
    w->report = report;
    w->level = -1;
    if (w->level_is_report && !next_level(w))
        return false;
    bool fits = w->writes ? run(w, 0, w->operation_count, true, -1) : count_body(w, 0, w->operation_count);
    return fits && w->position == end;
}

/* The bits of the subsets of one message, bytes [first, last), by their byte counts, into start and end (count,).
   Returns the byte of a subset that does not fit, or -1. */
static int64_t split_message(const uint8_t *data, int64_t first, int64_t last, int64_t count, int64_t *start,
                             int64_t *end)
{
    int64_t byte = first;
    for (int64_t i = 0; i < count; i++) {
        if (last - byte < 2)
            return byte;
        int64_t length = (int64_t)data[byte] << 8 | data[byte + 1];
        if (length == UNKNOWN_LENGTH && count == 1)
            length = last - byte;
        if (length < 2 || length > last - byte)
            return byte;
        start[i] = 8 * byte;
        byte += length;
        end[i] = 8 * byte;
    }
    return -1;
}
