/* What the kernel's parts share: sixteen neighbouring columns are solved in lock-step, one in each lane of a vector. */

#ifndef LETKF_LANES_H
#define LETKF_LANES_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ALWAYS_INLINE inline __attribute__((always_inline))
#define BATCH 16      /* columns of a batch; a vector holds so many of them as fit, the others follow */
#define STEP 16       /* elements of A that are summed together, in registers */
#define WIDEST 16     /* numbers in a vector at most */
#define MOST_COLUMNS 8 /* of A that are summed together over the observations of a site */
#define MOST_ROWS 32  /* observations of a site that are summed at once */
#define MOST_SITES 64 /* sites whose sums are kept at once; fewer where they would not stay in the cache */
#define MOST_POLES 96 /* of the rational square root, whatever the condition number */

/* The table's observations and the quadrature of x^(-1/2): poles[b] serve condition numbers up to 2^b. */
typedef struct {
    int64_t members;
    const double *Y;         /* (nobs, members) */
    const double *precision; /* (nobs,) 1 / standard error */
    const double *d;         /* (nobs,) innovation / standard error */
} Observations;

typedef struct {
    int64_t buckets, width;
    const int64_t *order;         /* (buckets,) number of poles */
    const double *shift, *weight; /* (buckets, width) */
} Poles;

/* A taper of the squared chord u by t = sqrt(u) / (2 + sqrt(4 - u)): on either side of a knot a polynomial of
   slope t + shift; 0 from `cut` on. */
typedef struct {
    double cut, knot, slope[2], shift[2];
    int64_t order;
    const double *coefficient; /* (2, order) of ascending powers */
} Taper;
#define LEAST_TAPER 1e-30 /* within reach */

/* An observation that some column of the batch sees: its row in the table, its place in the order of sites, its taper
   in the vertical and, of each column, in the horizontal. Those of a site share the latter, unless limits part them. */
typedef struct {
    int64_t row, place;
    double vertical, root; /* and its square root */
    const double *horizontal;
} Seen;

/* One problem of all columns of a batch. Lane l of element e stands at [e * BATCH + l]. */
typedef struct {
    const Observations *table;
    const Seen *seen;
    int64_t count;
    const double *gain; /* beta / (k - 1) */
    const double *x;    /* (n, members, BATCH) background perturbations */
    int64_t n;
    double *xa;        /* (n, members, BATCH) A^(-1/2) applied to them */
    double *increment; /* (n, BATCH) of the mean */
    double *signal;    /* (BATCH) degrees of freedom for signal */
    double *condition; /* (BATCH) bound of the condition number */
} Local;

/* How many of the first observations of a list share their horizontal tapers, at most MOST_ROWS. */
static inline int64_t of_one_site(const Seen *seen, int64_t count)
{
    int64_t n = 1;
    while (n < count && n < MOST_ROWS && seen[n].horizontal == seen[0].horizontal)
        n++;
    return n;
}

/* Elements of a packed A and the right-hand side that follows it, filled up to whole steps. */
static inline int64_t system_size(int64_t members)
{
    return (members * (members + 3) / 2 + STEP - 1) / STEP * STEP;
}

/* Numbers of an observation's packed Y: zeros follow, as far as a vector of the last columns of A reaches. */
static inline int64_t row_size(int64_t members)
{
    return members + MOST_COLUMNS + WIDEST;
}

/* Sites whose sums are kept at once. */
static inline int64_t sites_at_once(int64_t members)
{
    int64_t fit = (1 << 16) / system_size(members);
    return fit < 8 ? 8 : fit > MOST_SITES ? MOST_SITES : fit;
}

/* Bytes of working space of a solver, in any precision and vector length; its beginning is aligned to 64 bytes. */
static inline size_t solver_bytes(int64_t members, int64_t n)
{
    int64_t k = members, vectors = 16 * k + 2 * (n + 1) * k + MOST_SITES + 2 * MOST_POLES;
    int64_t sums = sites_at_once(k) * system_size(k) + WIDEST, rows = MOST_SITES * (row_size(k) + 1);
    return 64 * (size_t)vectors + sizeof(double) * (size_t)(BATCH * system_size(k) + sums + rows);
}

/* At most so many local observations of a kind. */
typedef struct {
    int64_t kinds;
    const int64_t *kind; /* (nobs,) in the order of `rows` */
    const int64_t *most; /* (kinds,) */
} Limit;
#define MOST_LIMITS 2

/* What all tiles share. A group is channels of a level that the same observations may update. */
typedef struct {
    Observations table;
    int64_t nobs, sites, levels, channels, groups;
    const int64_t *rows, *first_row; /* rows of the table site by site; where each site's begin, (sites + 1,) */
    const double *square;            /* (nobs,) d^2 / variance, this and what follows in the order of `rows` */
    const double *power;             /* (nobs,) |Y|^2 / ((k - 1) variance) */
    const double *vertical;          /* (levels, nobs) taper */
    const uint8_t *sees;             /* (groups, nobs) whether a group sees an observation */
    const uint8_t *sees_all;         /* (groups,) whether it sees every one */
    const int64_t *level;            /* (groups,) ascending */
    const int64_t *first_channel;    /* (groups + 1,) where a group's begin in `channel` */
    const int64_t *channel;          /* (channels,) group by group */
    const uint8_t *humidity;         /* (channels,) 0 is none, 1 never below zero, 2 as in the background */
    int64_t limits;
    Limit limit[MOST_LIMITS];        /* one after the other */
    const double *point;             /* (sites, 3) on the unit sphere */
    Taper taper;                     /* horizontal */
    Poles single, precise;           /* for float and double */
} Shared;

enum { NOT_HUMID, NOT_NEGATIVE, KEPT };
enum { NO_RELAXATION, TO_PERTURBATIONS, TO_SPREAD };

typedef struct {
    bool single;           /* solve in float, up to `most_condition`; beyond it and otherwise in double */
    bool all_ones;         /* the ablation: every weight sqrt(beta) where there is no observation */
    int64_t relaxation;    /* of the enumeration */
    double alpha;          /* its strength */
    double most_condition; /* number up to which float serves */
} Options;

/* A tile: its background and what becomes of it. Rows are of `width` columns, but for X, which has strides. */
typedef struct {
    int64_t width, sites;
    const int64_t *site;      /* (sites,) those near */
    const double *horizontal; /* (sites, width) taper; NULL where it follows from the points */
    const double *point;      /* (width, 3) of the columns on the unit sphere */
    const double *inflation;  /* (levels, width) */
    const char *X;            /* (k, channels, width) float */
    ptrdiff_t member_stride, channel_stride;
    double *count, *weight_sum, *square, *power, *signal, *relaxation, *left_out; /* (levels, width) */
    float *analysis;                                                   /* (k, channels, width), and what is told */
    double *mean, *spread, *least, *most, *background_spread;          /* (channels, width) */
    int64_t *clipped;                                                  /* (width,) */
} Tile;

/* Working space that serves one tile after the other: fresh pages for each would cost a sixth of the analysis. */
typedef struct {
    char *memory;
    size_t bytes;
} Room;

/* Its memory, aligned to 64 bytes, once that is at least so large; NULL where the system has no more. */
static inline char *has_room(Room *room, size_t bytes)
{
    if (room->bytes < bytes) {
        free(room->memory);
        room->bytes = (bytes + bytes / 4 + 63) / 64 * 64;
        room->memory = aligned_alloc(64, room->bytes);
        room->bytes = room->memory == NULL ? 0 : room->bytes;
    }
    return room->memory;
}

#endif
