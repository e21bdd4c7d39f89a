/* libFuzzer harness of the PREPBUFR inner loop: any program on any data, in tables of exactly the size counted.

   An input is what seed.py writes: a head (counts), operations, fields, and the data of one message. Programs that
   program_is_sound refuses are dropped, as the door to Python does; everything else must neither leave its buffers nor hang, and
   must write exactly the rows it counted. Every buffer is its own allocation, so that the address sanitizer sees each
   step outside. The second pass writes into tables that are one row short: it must notice. */

#include <stdio.h>
#include <stdlib.h>

#include "../../obsproc/_decode.h"

enum { HEAD = 8, OPERATION = 12, FIELD = 8, MOST_VALUES_PER_BIT = 4 };

static int64_t u16(const uint8_t *p) { return p[0] << 8 | p[1]; }

static void *room(int64_t items, int64_t size) { return malloc((size_t)(items * size)); }

/* Room in which no cell has been written: no number has these bytes. */
static void *blank(int64_t items, int64_t size)
{
    void *cells = room(items, size);
    if (items)
        memset(cells, 0xFB, (size_t)(items * size));
    return cells;
}

static bool is_full(const uint64_t *numbers, int64_t items)
{
    for (int64_t i = 0; numbers != NULL && i < items; i++)
        if (numbers[i] == UINT64_C(0xFBFBFBFBFBFBFBFB))
            return false;
    return true;
}

/* Every cell of the tables is to be had by `deeper` or `current` of a field, or in a stack. */
static void open_tables(Walk *w, int64_t reports, int64_t levels, const int64_t *events)
{
    w->level_rows = levels;
    for (int64_t s = 0; s < w->stack_count; s++)
        w->stacks[s] = (Stack){events[s], room(events[s], 8), room(events[s], 8), calloc((size_t)levels, 8)};
    for (int64_t f = 0; f < w->field_count; f++) {
        Field *field = &w->fields[f];
        int64_t size = field->is_text ? field->width / 8 : 8;
        field->current = blank(field->in_level ? levels : reports, size);
        field->deeper = field->stack >= 0 ? blank(w->stacks[field->stack].rows, size) : NULL;
    }
}

static void close_tables(Walk *w)
{
    for (int64_t s = 0; s < w->stack_count; s++) {
        free(w->stacks[s].level);
        free(w->stacks[s].depth);
        free(w->stacks[s].events);
    }
    for (int64_t f = 0; f < w->field_count; f++) {
        free(w->fields[f].current);
        free(w->fields[f].deeper);
    }
}

/* Write subsets one behind the other; true if all end where they should. */
static bool write_all(Walk *w, const int64_t *start, const int64_t *end, int64_t subsets)
{
    w->next_level = 0;
    memset(w->next_event, 0, sizeof w->next_event);
    for (int64_t i = 0; i < subsets; i++)
        if (!walk_subset(w, start[i], end[i], i))
            return false;
    return true;
}

/* Count, then write what was counted, then into tables too short. */
static void walk_both_ways(Walk *w, int64_t *start, int64_t *end, int64_t subsets)
{
    int64_t levels = 0, events[MOST_STACKS] = {0}, bits = 0, good = 0;
    w->writes = false;
    for (int64_t i = 0; i < subsets; i++) {
        w->next_level = 0;
        memset(w->next_event, 0, sizeof w->next_event);
        if (!walk_subset(w, start[i], end[i], i))
            continue;
        levels += w->next_level;
        for (int64_t s = 0; s < w->stack_count; s++)
            events[s] += w->next_event[s];
        bits += end[i] - start[i];
        start[good] = start[i];
        end[good++] = end[i];
    }
    if ((levels + good) * (w->field_count + 1) > MOST_VALUES_PER_BIT * bits)
        return; /* compiled.py refuses such a flood */

    w->writes = true;
    open_tables(w, good, levels, events);
    bool complete = write_all(w, start, end, good) && w->next_level == levels;
    for (int64_t s = 0; s < w->stack_count; s++)
        complete = complete && w->next_event[s] == events[s];
    for (int64_t f = 0; f < w->field_count; f++) {
        const Field *field = &w->fields[f];
        complete = complete && (field->is_text || is_full(field->current, field->in_level ? levels : good));
        complete = complete && (field->is_text || field->stack < 0 || is_full(field->deeper, events[field->stack]));
    }
    close_tables(w);
    if (!complete) {
        fprintf(stderr, "the rows written are not those counted, or not in every cell\n");
        abort();
    }
    if (levels == 0)
        return;
    for (int64_t s = 0; s < w->stack_count; s++)
        events[s] -= events[s] > 0;
    open_tables(w, good, levels - 1, events);
    bool noticed = !write_all(w, start, end, good);
    close_tables(w);
    if (!noticed) {
        fprintf(stderr, "%lld levels were written into room for one less\n", (long long)levels);
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    if (size < HEAD)
        return 0;
    int64_t operation_count = u16(input), field_count = u16(input + 2), subsets = u16(input + 4);
    int64_t head = HEAD + operation_count * OPERATION + field_count * FIELD, bytes = (int64_t)size - head;
    if (bytes < 0)
        return 0;
    Stack stacks[MOST_STACKS];
    Operation *operations = room(operation_count, sizeof(Operation));
    Walk w = {.bytes = bytes, .operations = operations, .operation_count = operation_count,
              .field_count = field_count, .stack_count = input[6] % (MOST_STACKS + 1),
              .level_is_report = input[7], .fields = room(field_count, sizeof(Field)), .stacks = stacks,
              .repeated = room(operation_count, 1)};
    const uint8_t *p = input + HEAD;
    for (int64_t i = 0; i < operation_count; i++, p += OPERATION)
        operations[i] = (Operation){p[0], u16(p + 1), p[3], u16(p + 4), (int8_t)p[6], u16(p + 7), u16(p + 9)};
    for (int64_t f = 0; f < field_count; f++, p += FIELD) {
        int64_t place[5] = {p[0] & 1, p[0] & 2, (int8_t)p[1], u16(p + 2), u16(p + 4)};
        double scale[3] = {(int8_t)p[6], 10.0, 1.0};
        w.fields[f] = make_field(place, scale);
    }
    uint8_t *data = room(bytes, 1);
    memcpy(data, p, (size_t)bytes);
    w.data = data;
    int64_t *start = room(subsets + 1, 8), *end = room(subsets + 1, 8);
    if (split_message(data, 0, bytes, subsets, start, end) >= 0) {
        subsets = 1; /* byte counts that lie are found above; go on with all bytes as one subset */
        start[0] = 0;
        end[0] = 8 * bytes;
    }
    if (program_is_sound(&w))
        walk_both_ways(&w, start, end, subsets);
    free(operations);
    free(w.fields);
    free(w.repeated);
    free(data);
    free(start);
    free(end);
    return 0;
}
