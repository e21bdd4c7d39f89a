/* A and the right-hand side of a batch, from the observations that it sees: a part of the template _lanes_solve.h.

   Observations of a site share their horizontal taper h, so that they are summed once for all lanes, whose sums then run
   over sites:

       A = I + sum of h beta/(k-1) G,   G = sum over the site's observations of (vertical taper / R) y y'

   Which sites have one observation and which more at a level is the table's alone, whatever a column sees of them. */

#define AHEAD 16        /* observations between asking for one and packing it */
#define COLUMNS (LANES < MOST_COLUMNS ? LANES : MOST_COLUMNS)
#define ACROSS (BYTES == 64 ? 4 : 2) /* columns and rows of a block of A in registers */
#define DOWN 4

/* Working space for the sums over a site: of its rows Y / sigma, times the root of their vertical taper, and d / sigma
   times the same; and those sums of some sites, each followed by its part of the right-hand side. */
typedef struct {
    REAL *Y, *d, *sum;
    vector *taper; /* of those sites in the lanes, times beta / (k - 1) */
} NAME(Sites);

/* The first `count` of those that are seen; Y keeps the zeros beyond its members. Rows of the table lie anywhere, so that
   those of the next sites are asked for in time. */
static TARGET void NAME(pack)(const Observations *table, const Seen *seen, int64_t count, int64_t left, NAME(Sites) to)
{
    const int64_t k = table->members, room = row_size(k);
    for (int64_t i = 0; i < count; i++) {
        const char *soon = (const char *)(table->Y + seen[i + AHEAD < left ? i + AHEAD : left - 1].row * k);
        for (int64_t line = 0; line < k * (int64_t)sizeof(double); line += 64)
            __builtin_prefetch(soon + line);
        const double *restrict Y = table->Y + seen[i].row * k, scale = table->precision[seen[i].row] * seen[i].root;
        REAL *restrict packed = to.Y + i * room;
        int64_t j = 0;
        for (; j + 4 <= k; j += 4)
            for (int m = 0; m < 4; m++)
                packed[j + m] = (REAL)(Y[j + m] * scale);
        for (; j < k; j++)
            packed[j] = (REAL)(Y[j] * scale);
        to.d[i] = (REAL)(table->d[seen[i].row] * seen[i].root);
    }
}

/* Lanes [first, first + LANES) of two vectors side by side. */
static ALWAYS_INLINE TARGET vector NAME(shifted)(vector one, vector other, const int first)
{
    __typeof__(one < one) from;
    for (int l = 0; l < LANES; l++)
        from[l] = first + l;
    return __builtin_shuffle(one, other, from);
}

/* The sums of the columns from `col` on. A vector holds the same rows of each column, the lowest first; it is shifted to
   begin at the diagonal, and what it writes beyond the end of a column is replaced by the columns that follow. */
static ALWAYS_INLINE TARGET void NAME(sum_columns)(NAME(Sites) of, int64_t k, int64_t count, int64_t col)
{
    const int64_t room = row_size(k);
    vector below[COLUMNS];
    for (int c = 0; c < COLUMNS; c++)
        below[c] = NAME(fill)(0);
    for (int64_t row = (k - 1 - col) / LANES * LANES; row >= 0; row -= LANES) {
        vector sum[COLUMNS];
        for (int c = 0; c < COLUMNS; c++)
            sum[c] = NAME(fill)(0);
        for (int64_t i = 0; i < count; i++) {
            const REAL *Y = of.Y + i * room + col;
            vector rows = *(const NAME(anywhere) *)(Y + row);
            for (int c = 0; c < COLUMNS; c++)
                sum[c] += Y[c] * rows;
        }
#pragma GCC unroll 8
        for (int c = 0; c < COLUMNS; c++) {
            if (col + c + row < k)
                *(NAME(anywhere) *)(of.sum + (col + c) * (2 * k - col - c + 1) / 2 + row) =
                    NAME(shifted)(sum[c], below[c], c);
            below[c] = sum[c];
        }
    }
}

/* Those of so few observations that shifting costs more than loading them anew for each column. */
static ALWAYS_INLINE TARGET void NAME(sum_few)(NAME(Sites) of, int64_t k, const int count)
{
    const int64_t room = row_size(k);
    REAL *to = of.sum;
    for (int64_t col = 0; col < k; to += k - col, col++)
        for (int64_t row = 0; row < k - col; row += LANES) {
            vector sum = of.Y[col] * *(const NAME(anywhere) *)(of.Y + col + row);
            for (int i = 1; i < count; i++)
                sum += of.Y[i * room + col] * *(const NAME(anywhere) *)(of.Y + i * room + col + row);
            *(NAME(anywhere) *)(to + row) = sum;
        }
}

/* The sums over the packed observations of a site. */
static TARGET void NAME(sum_site)(NAME(Sites) of, int64_t k, int64_t count)
{
    const int64_t room = row_size(k);
    switch (count) {
    case 2: NAME(sum_few)(of, k, 2); break;
    case 3: NAME(sum_few)(of, k, 3); break;
    default:
        for (int64_t col = 0; col < k; col += COLUMNS)
            NAME(sum_columns)(of, k, count, col);
    }
    for (int64_t row = 0; row < k; row += LANES) {
        vector sum = {0};
        for (int64_t i = 0; i < count; i++)
            sum += of.d[i] * *(const NAME(anywhere) *)(of.Y + i * room + row);
        *(NAME(anywhere) *)(of.sum + k * (k + 1) / 2 + row) = sum;
    }
}

/* Add single observations, packed one after the other, to a block of A from (row, col) on. */
static ALWAYS_INLINE TARGET void NAME(add_block)(vector *A, int64_t k, int64_t row, int64_t col, NAME(Sites) of,
                                                 int64_t count)
{
    const int64_t room = row_size(k);
    vector sum[ACROSS][DOWN];
    for (int c = 0; c < ACROSS; c++)
        for (int r = 0; r < DOWN; r++) {
            bool inside = col + c < k && row + r < k && row + r >= col + c;
            sum[c][r] = inside ? NAME(column)(A, k, col + c)[row + r] : NAME(fill)(0);
        }
    for (int64_t i = 0; i < count; i++) {
        const REAL *Yr = of.Y + i * room + row, *Yc = of.Y + i * room + col;
        vector tapered[ACROSS];
        for (int c = 0; c < ACROSS; c++)
            tapered[c] = of.taper[i] * Yc[c];
        for (int r = 0; r < DOWN; r++) {
            REAL y = Yr[r];
            for (int c = 0; c < ACROSS; c++)
                sum[c][r] += tapered[c] * y;
        }
    }
    for (int c = 0; c < ACROSS; c++)
        for (int r = 0; r < DOWN; r++)
            if (col + c < k && row + r < k && row + r >= col + c)
                NAME(column)(A, k, col + c)[row + r] = sum[c][r];
}

/* Add them to A and the right-hand side that follows it. */
static TARGET void NAME(add_single)(vector *A, int64_t k, NAME(Sites) of, int64_t count)
{
    const int64_t room = row_size(k);
    vector *r = A + k * (k + 1) / 2;
    for (int64_t col = 0; col < k; col += ACROSS)
        for (int64_t row = col; row < k; row += DOWN)
            NAME(add_block)(A, k, row, col, of, count);
    for (int64_t row = 0; row < k; row += 2 * DOWN) {
        vector sum[2 * DOWN];
        for (int j = 0; j < 2 * DOWN; j++)
            sum[j] = row + j < k ? r[row + j] : NAME(fill)(0);
        for (int64_t i = 0; i < count; i++) {
            vector tapered = of.taper[i] * of.d[i];
            for (int j = 0; j < 2 * DOWN; j++)
                sum[j] += tapered * of.Y[i * room + row + j];
        }
        for (int j = 0; j < 2 * DOWN && row + j < k; j++)
            r[row + j] = sum[j];
    }
}

/* Add the sums of some sites to A and the right-hand side that follows it, STEP elements kept in registers meanwhile. */
static TARGET void NAME(add_sites)(vector *A, int64_t size, NAME(Sites) of, int64_t sites)
{
    for (int64_t first = 0; first < size; first += STEP) {
        vector sum[STEP];
        for (int e = 0; e < STEP; e++)
            sum[e] = A[first + e];
        for (int64_t s = 0; s < sites; s++) {
            const REAL *G = of.sum + s * size + first;
            vector taper = of.taper[s];
            for (int e = 0; e < STEP; e++)
                sum[e] += taper * G[e];
        }
        for (int e = 0; e < STEP; e++)
            A[first + e] = sum[e];
    }
}

/* Whether some of the lanes from `lane` on is wanted. */
static inline bool NAME(any)(const bool *wanted, int lane)
{
    bool any = false;
    for (int l = 0; l < LANES; l++)
        any |= wanted[lane + l];
    return any;
}

/* The tapers of some sites in the lanes from `lane` on. */
static ALWAYS_INLINE TARGET void NAME(load_tapers)(const Local *p, const double *const *horizontal, int64_t sites,
                                                   int lane, vector *to)
{
    for (int64_t s = 0; s < sites; s++)
        for (int l = 0; l < LANES; l++)
            ((REAL *)to)[s * LANES + l] = (REAL)(horizontal[s][lane + l] * p->gain[lane + l]);
}

/* Pack the next sites of one observation, or sum the next of more, from number *first of the list on, which moves past
   them; their tapers to `horizontal`. Returns how many they are, `most` unless the list ends. */
static TARGET int64_t NAME(gather)(const Local *p, bool single, int64_t most, int64_t *first, NAME(Sites) of,
                                   const double **horizontal)
{
    const int64_t k = p->table->members, size = system_size(k);
    int64_t sites = 0;
    while (sites < most && *first < p->count) {
        const Seen *seen = p->seen + *first;
        const int64_t left = p->count - *first, rows = of_one_site(seen, left);
        *first += rows;
        if (single != (rows == 1))
            continue;
        NAME(Sites) here = of;
        if (single)
            here.Y += sites * row_size(k), here.d += sites;
        else
            here.sum += sites * size;
        NAME(pack)(p->table, seen, rows, left, here);
        if (!single)
            NAME(sum_site)(here, k, rows);
        horizontal[sites++] = seen->horizontal;
    }
    return sites;
}

/* A and r of the lanes that are wanted, one system after the other: first sites of one observation, for which sums do not
   pay, then the others. */
static TARGET void NAME(assemble)(const Local *p, const bool *wanted, vector *A, NAME(Sites) of)
{
    const int64_t k = p->table->members, size = system_size(k);
    memset(A, 0, sizeof(REAL) * (size_t)(BATCH * size));
    for (int single = 1; single >= 0; single--)
        for (int64_t first = 0; first < p->count;) {
            const double *horizontal[MOST_SITES];
            int64_t sites = NAME(gather)(p, single, single ? MOST_SITES : sites_at_once(k), &first, of, horizontal);
            for (int lane = 0; lane < BATCH && sites > 0; lane += LANES) {
                if (!NAME(any)(wanted, lane))
                    continue;
                NAME(load_tapers)(p, horizontal, sites, lane, of.taper);
                if (single)
                    NAME(add_single)(A + lane / LANES * size, k, of, sites);
                else
                    NAME(add_sites)(A + lane / LANES * size, size, of, sites);
            }
        }
}

#undef AHEAD
#undef COLUMNS
#undef ACROSS
#undef DOWN
