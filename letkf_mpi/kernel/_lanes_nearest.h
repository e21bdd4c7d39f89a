/* Limits on the number of local observations: in each column of a batch the nearest of a kind are kept, as
   letkf_mpi/selection.py defines it. Nearest is what has the largest taper, of equal ones the first in the table. */

#ifndef LETKF_LANES_NEAREST_H
#define LETKF_LANES_NEAREST_H

#include "_lanes.h"

/* An observation that a column sees, by its number in the list of the batch. */
typedef struct {
    double taper;
    int64_t row, number;
} Candidate;

/* Working space for a list of observations. */
typedef struct {
    Candidate *candidate, *by_kind; /* (count,) */
    int64_t *start, *next;          /* (kinds + 1,), of the limit with most kinds */
    double *horizontal;             /* (count, BATCH) tapers, zero where an observation is left out */
} Nearest;

static inline bool nearer(const Candidate *a, const Candidate *b)
{
    return a->taper > b->taper || (a->taper == b->taper && a->row < b->row);
}

/* Bring the nearest `most` of `count` candidates to the front, in no order (Hoare 1961, CACM 4, 321: FIND). */
static void nearest_first(Candidate *c, int64_t count, int64_t most)
{
    int64_t low = 0, high = count - 1;
    while (low < high) {
        const Candidate pivot = c[low + (high - low) / 2];
        int64_t i = low, j = high;
        while (i <= j) {
            while (nearer(&c[i], &pivot))
                i++;
            while (nearer(&pivot, &c[j]))
                j--;
            if (i <= j) {
                const Candidate other = c[i];
                c[i++] = c[j];
                c[j--] = other;
            }
        }
        if (most <= j)
            high = j;
        else if (most > i)
            low = i;
        else
            return;
    }
}

/* The candidates that a limit keeps, to the front. Returns their number. */
static int64_t limited(const Limit *limit, const Seen *seen, int64_t count, Nearest *to)
{
    memset(to->start, 0, sizeof(int64_t) * (size_t)(limit->kinds + 1));
    for (int64_t i = 0; i < count; i++)
        to->start[limit->kind[seen[to->candidate[i].number].place] + 1]++;
    for (int64_t kind = 0; kind < limit->kinds; kind++)
        to->start[kind + 1] += to->start[kind];
    memcpy(to->next, to->start, sizeof(int64_t) * (size_t)(limit->kinds + 1));
    for (int64_t i = 0; i < count; i++)
        to->by_kind[to->next[limit->kind[seen[to->candidate[i].number].place]]++] = to->candidate[i];
    int64_t kept = 0;
    for (int64_t kind = 0; kind < limit->kinds; kind++) {
        Candidate *first = to->by_kind + to->start[kind];
        int64_t some = to->start[kind + 1] - to->start[kind];
        if (some > limit->most[kind]) {
            nearest_first(first, some, limit->most[kind]);
            some = limit->most[kind];
        }
        memcpy(to->candidate + kept, first, sizeof(Candidate) * (size_t)some);
        kept += some;
    }
    return kept;
}

/* Keep of a batch's list what some column keeps, with tapers of its own. Returns its length, and in `left_out` (BATCH)
   how many a column had to leave out. */
static int64_t keep_nearest(const Shared *shared, Seen *seen, int64_t count, Nearest *to, double *left_out)
{
    memset(to->horizontal, 0, sizeof(double) * (size_t)(count * BATCH));
    for (int l = 0; l < BATCH; l++) {
        int64_t some = 0;
        for (int64_t i = 0; i < count; i++) {
            double taper = seen[i].horizontal[l] * seen[i].vertical;
            if (taper > 0)
                to->candidate[some++] = (Candidate){taper, seen[i].row, i};
        }
        left_out[l] = (double)some;
        for (int64_t q = 0; q < shared->limits; q++)
            some = limited(&shared->limit[q], seen, some, to);
        left_out[l] -= (double)some;
        for (int64_t i = 0; i < some; i++) {
            int64_t number = to->candidate[i].number;
            to->horizontal[number * BATCH + l] = seen[number].horizontal[l];
        }
    }
    int64_t kept = 0;
    for (int64_t i = 0; i < count; i++) {
        const double *here = to->horizontal + i * BATCH;
        bool some = false;
        for (int l = 0; l < BATCH; l++)
            some |= here[l] > 0;
        if (some)
            seen[kept] = seen[i], seen[kept++].horizontal = here;
    }
    return kept;
}

#endif
