/* The local solve in lanes: a template, included once for each precision and instruction set.

   Wants REAL, BYTES (of a vector), TARGET (function attribute), NAME(x), PANEL (columns of A that one pass takes
   together), TINY (square of what counts as zero beside 1), SQRT.

       A  = I + beta/(k-1) Y'T (rho/R) Y,   least eigenvalue 1 because Y has zero mean     (the reference's A, scaled)
       A  = Q T Q'T                         Householder, T tridiagonal
       x A^(-1/2) = x Q f(T) Q'T,  f(T) = sum of c_j (T + s_j)^(-1)        (Hale, Higham & Trefethen 2008)
       mean increment x A^(-1) r = (Q'T x) . T^(-1) (Q'T r)

   A is packed by columns of its lower triangle; reflectors take the place of what they annihilate. Observations of a
   site are summed first, see _lanes_assemble.h. No step branches on data, none mixes lanes, and sums run in an order that the
   table fixes: a column's bits are its own. */

#define LANES ((int)(BYTES / sizeof(REAL)))
#define MOST_TOGETHER 4 /* state rows that share each load of a reflector */

typedef REAL NAME(vector) __attribute__((vector_size(BYTES), may_alias));
#define vector NAME(vector)
typedef REAL NAME(anywhere) __attribute__((vector_size(BYTES), aligned(sizeof(REAL)), may_alias)); /* in memory */

/* Element r of column c stands at [r]. */
static ALWAYS_INLINE TARGET vector *NAME(column)(vector *A, int64_t k, int64_t c)
{
    return A + c * (2 * k - c - 1) / 2;
}

static ALWAYS_INLINE TARGET vector NAME(fill)(REAL value)
{
    return (vector){0} + value;
}

static ALWAYS_INLINE TARGET vector NAME(dot)(const vector *a, const vector *b, int64_t n)
{
    vector s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
    int64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        s0 += a[i] * b[i];
        s1 += a[i + 1] * b[i + 1];
        s2 += a[i + 2] * b[i + 2];
        s3 += a[i + 3] * b[i + 3];
    }
    for (; i < n; i++)
        s0 += a[i] * b[i];
    return (s0 + s1) + (s2 + s3);
}

#include "_lanes_assemble.h"

/* The reflector I - tau v v'T that takes x (n,) to (beta, 0, ...); v replaces x. A tail of zeros needs none. */
static ALWAYS_INLINE TARGET void NAME(reflector)(vector *x, int64_t n, vector *beta, vector *tau)
{
    vector tail = NAME(dot)(x + 1, x + 1, n - 1);
    const REAL *t = (const REAL *)&tail;
    REAL *v = (REAL *)x, *b = (REAL *)beta, *scale = (REAL *)tau;
    for (int l = 0; l < LANES; l++) {
        REAL norm = SQRT(v[l] * v[l] + t[l]), to = v[l] > 0 ? -norm : norm, head = v[l] - to;
        bool any = t[l] > (REAL)TINY;
        scale[l] = any ? 2 / (head * head + t[l]) : 0;
        b[l] = any ? to : v[l];
        v[l] = head;
    }
}

/* The last reflector's rank-2 update A -= u q'T + q u'T and the product y += A v in one pass, for columns c to c+n. */
static ALWAYS_INLINE TARGET void NAME(panel)(vector *A, int64_t k, int64_t c, const int n, const vector *u,
                                             const vector *q, const vector *v, vector *y)
{
    vector *a[PANEL], uc[PANEL], qc[PANEL], vc[PANEL], sum[PANEL];
    for (int i = 0; i < n; i++) {
        a[i] = NAME(column)(A, k, c + i);
        uc[i] = u[c + i], qc[i] = q[c + i], vc[i] = v[c + i];
        sum[i] = NAME(fill)(0);
    }
    for (int i = 0; i < n; i++)
        for (int r = i; r < n; r++) {
            vector e = a[i][c + r] - uc[r] * qc[i] - qc[r] * uc[i];
            a[i][c + r] = e;
            sum[r] += e * vc[i];
            if (r > i)
                sum[i] += e * vc[r];
        }
    for (int64_t r = c + n; r < k; r++) {
        vector ur = u[r], qr = q[r], vr = v[r], yr = y[r], e[PANEL];
        for (int i = 0; i < n; i++)
            e[i] = a[i][r] - ur * qc[i] - qr * uc[i];
        for (int i = 0; i < n; i++) {
            yr += e[i] * vc[i];
            sum[i] += e[i] * vr;
            a[i][r] = e[i];
        }
        y[r] = yr;
    }
    for (int i = 0; i < n; i++)
        y[c + i] += sum[i];
}

typedef struct {
    vector *A, *tau, *diagonal, *beside; /* A: reflectors below its diagonal */
} NAME(Tridiagonal);

static TARGET void NAME(tridiagonalise)(NAME(Tridiagonal) T, int64_t k, vector *q, vector *y)
{
    memset(q, 0, sizeof(vector) * (size_t)k);
    const vector *u = q;
    for (int64_t j = 0; j < k - 1; j++) {
        vector *a = NAME(column)(T.A, k, j), uj = u[j], qj = q[j];
        for (int64_t r = j; r < k; r++)
            a[r] -= u[r] * qj + q[r] * uj;
        T.diagonal[j] = a[j];
        if (j == k - 2) {
            T.beside[j] = a[k - 1];
            break;
        }
        NAME(reflector)(a + j + 1, k - 1 - j, &T.beside[j], &T.tau[j]);
        memset(y + j + 1, 0, sizeof(vector) * (size_t)(k - 1 - j));
        int64_t c = j + 1;
        for (; c + PANEL <= k; c += PANEL)
            NAME(panel)(T.A, k, c, PANEL, u, q, a, y);
        for (; c < k; c++)
            NAME(panel)(T.A, k, c, 1, u, q, a, y);
        for (int64_t r = j + 1; r < k; r++)
            y[r] *= T.tau[j];
        vector half = NAME(dot)(y + j + 1, a + j + 1, k - 1 - j) * T.tau[j] * (REAL)0.5;
        for (int64_t r = j + 1; r < k; r++)
            q[r] = y[r] - half * a[r];
        u = a;
    }
    T.diagonal[k - 1] = NAME(column)(T.A, k, k - 1)[k - 1] - 2 * u[k - 1] * q[k - 1];
}

/* x (n, k) -> (I - tau v v'T) x with v (k,) zero before `from`. */
static ALWAYS_INLINE TARGET void NAME(reflect)(const vector *v, vector tau, vector *x, int64_t k, int64_t from,
                                               const int n)
{
    vector sum[MOST_TOGETHER], odd[MOST_TOGETHER];
    for (int i = 0; i < n; i++)
        sum[i] = odd[i] = NAME(fill)(0);
    int64_t r = from;
    for (; r + 2 <= k; r += 2)
        for (int i = 0; i < n; i++) {
            sum[i] += v[r] * x[i * k + r];
            odd[i] += v[r + 1] * x[i * k + r + 1];
        }
    if (r < k)
        for (int i = 0; i < n; i++)
            sum[i] += v[r] * x[i * k + r];
    for (int i = 0; i < n; i++)
        sum[i] = (sum[i] + odd[i]) * tau;
    for (r = from; r < k; r++)
        for (int i = 0; i < n; i++)
            x[i * k + r] -= sum[i] * v[r];
}

/* x (n, k) -> Q'T x, or Q x with `back`. */
static ALWAYS_INLINE TARGET void NAME(rotate_rows)(NAME(Tridiagonal) T, int64_t k, vector *x, const int n, bool back)
{
    for (int64_t i = 0; i < k - 2; i++) {
        int64_t j = back ? k - 3 - i : i;
        NAME(reflect)(NAME(column)(T.A, k, j), T.tau[j], x, k, j + 1, n);
    }
}

/* How many of `left` rows to take next, so that shares are alike. */
static inline int NAME(together)(int64_t left)
{
    int64_t turns = (left + MOST_TOGETHER - 1) / MOST_TOGETHER;
    return (int)((left + turns - 1) / turns);
}

static TARGET void NAME(rotate)(NAME(Tridiagonal) T, int64_t k, vector *x, int64_t n, bool back)
{
    for (int64_t i = 0; i < n;) {
        int some = NAME(together)(n - i);
        switch (some) {
        case 4: NAME(rotate_rows)(T, k, x + i * k, 4, back); break;
        case 3: NAME(rotate_rows)(T, k, x + i * k, 3, back); break;
        case 2: NAME(rotate_rows)(T, k, x + i * k, 2, back); break;
        default: NAME(rotate_rows)(T, k, x + i * k, 1, back);
        }
        i += some;
    }
}

/* T + s = L D L'T: `below` of L and 1 / D. */
static TARGET void NAME(factorise)(NAME(Tridiagonal) T, int64_t k, vector s, vector *below, vector *inverse)
{
    vector pivot = 1 / (T.diagonal[0] + s);
    inverse[0] = pivot;
    for (int64_t i = 1; i < k; i++) {
        below[i] = T.beside[i - 1] * pivot;
        pivot = 1 / (T.diagonal[i] + s - T.beside[i - 1] * below[i]);
        inverse[i] = pivot;
    }
}

/* sum += c (T + s)^(-1) x for n rows (n, k), by its factors; z (n, k) is working space. */
static ALWAYS_INLINE TARGET void NAME(add_solution)(const vector *below, const vector *inverse, int64_t k, vector c,
                                                    const vector *x, vector *sum, vector *z, const int n)
{
    vector last[MOST_TOGETHER];
    for (int i = 0; i < n; i++)
        z[i * k] = last[i] = x[i * k];
    for (int64_t r = 1; r < k; r++)
        for (int i = 0; i < n; i++)
            z[i * k + r] = last[i] = x[i * k + r] - below[r] * last[i];
    for (int i = 0; i < n; i++) {
        last[i] = last[i] * inverse[k - 1];
        sum[i * k + k - 1] += c * last[i];
    }
    for (int64_t r = k - 2; r >= 0; r--)
        for (int i = 0; i < n; i++) {
            last[i] = z[i * k + r] * inverse[r] - below[r + 1] * last[i];
            sum[i * k + r] += c * last[i];
        }
}

typedef struct {
    vector *below, *inverse, *z;
} NAME(Factors);

static TARGET void NAME(add_solutions)(NAME(Factors) F, int64_t k, vector c, const vector *x, vector *sum, int64_t n)
{
    for (int64_t i = 0; i < n;) {
        int some = NAME(together)(n - i);
        switch (some) {
        case 4: NAME(add_solution)(F.below, F.inverse, k, c, x + i * k, sum + i * k, F.z, 4); break;
        case 3: NAME(add_solution)(F.below, F.inverse, k, c, x + i * k, sum + i * k, F.z, 3); break;
        case 2: NAME(add_solution)(F.below, F.inverse, k, c, x + i * k, sum + i * k, F.z, 2); break;
        default: NAME(add_solution)(F.below, F.inverse, k, c, x + i * k, sum + i * k, F.z, 1);
        }
        i += some;
    }
}

/* Gershgorin's bound of the largest eigenvalue of T, which bounds the condition number because the least is 1. */
static TARGET void NAME(bound)(NAME(Tridiagonal) T, int64_t k, double *condition)
{
    const REAL *a = (const REAL *)T.diagonal, *b = (const REAL *)T.beside;
    REAL most[LANES];
    for (int l = 0; l < LANES; l++)
        most[l] = 0;
    for (int64_t i = 0; i < k; i++)
        for (int l = 0; l < LANES; l++) {
            REAL left = i > 0 ? b[(i - 1) * LANES + l] : 0, right = i < k - 1 ? b[i * LANES + l] : 0;
            REAL row = a[i * LANES + l] + (left < 0 ? -left : left) + (right < 0 ? -right : right);
            most[l] = row > most[l] || row != row ? row : most[l]; /* a NaN stays */
        }
    for (int l = 0; l < LANES; l++)
        condition[l] = (double)most[l];
}

/* Each lane's own poles; lanes with fewer than the others get some of weight 0. Returns how many there are. Condition
   numbers beyond the last bucket (2^52, where double precision ends too) are served by it, with an error that grows. */
static TARGET int64_t NAME(choose_poles)(const Poles *poles, const double *condition, vector *shift, vector *weight)
{
    int64_t most = 0, bucket[LANES];
    for (int l = 0; l < LANES; l++) {
        int exponent = condition[l] > 1 ? (int)poles->buckets : 0; /* an infinite one stays there */
        if (condition[l] > 1 && isfinite(condition[l]))
            frexp(condition[l], &exponent);
        bucket[l] = exponent < poles->buckets ? exponent : poles->buckets - 1;
        most = poles->order[bucket[l]] > most ? poles->order[bucket[l]] : most;
    }
    for (int64_t j = 0; j < most; j++)
        for (int l = 0; l < LANES; l++) {
            bool has = j < poles->order[bucket[l]];
            ((REAL *)shift)[j * LANES + l] = has ? (REAL)poles->shift[bucket[l] * poles->width + j] : 1;
            ((REAL *)weight)[j * LANES + l] = has ? (REAL)poles->weight[bucket[l] * poles->width + j] : 0;
        }
    return most;
}

/* Degrees of freedom for signal tr(I - A^(-1)), from the diagonal of T^(-1): 1 / (pivot from above + from below - a). */
static TARGET void NAME(signal)(NAME(Tridiagonal) T, int64_t k, const vector *inverse, double *signal)
{
    vector sum = {0}, from_below = T.diagonal[k - 1];
    for (int64_t i = k - 1; i >= 0; i--) {
        if (i < k - 1)
            from_below = T.diagonal[i] - T.beside[i] * T.beside[i] / from_below;
        vector both = 1 / inverse[i] + from_below - T.diagonal[i];
        sum += (both - 1) / both;
    }
    for (int l = 0; l < LANES; l++)
        signal[l] = (double)sum[l];
}

static ALWAYS_INLINE TARGET void NAME(load)(const double *from, int64_t count, int lane, vector *to)
{
    for (int64_t i = 0; i < count; i++)
        for (int l = 0; l < LANES; l++)
            ((REAL *)to)[i * LANES + l] = (REAL)from[i * BATCH + lane + l];
}

static ALWAYS_INLINE TARGET void NAME(store)(const vector *from, int64_t count, int lane, double *to)
{
    for (int64_t i = 0; i < count; i++)
        for (int l = 0; l < LANES; l++)
            to[i * BATCH + lane + l] = (double)((const REAL *)from)[i * LANES + l];
}

/* Working space of a solver beside the systems that it solves. */
typedef struct {
    vector *tau, *diagonal, *beside, *q, *y, *r, *x, *sum, *shift, *weight; /* x follows r */
    NAME(Factors) factors;
} NAME(Room);

/* Solve a system, whose lanes are those of the batch from `lane` on. */
static TARGET void NAME(solve_system)(const Local *p, const Poles *poles, int lane, vector *A, NAME(Room) w)
{
    const int64_t k = p->table->members, n = p->n;
    const NAME(Factors) F = w.factors;
    NAME(Tridiagonal) T = {A, w.tau, w.diagonal, w.beside};
    memcpy(w.r, A + k * (k + 1) / 2, sizeof(vector) * (size_t)k);
    for (int64_t c = 0; c < k; c++)
        NAME(column)(A, k, c)[c] += 1;
    NAME(tridiagonalise)(T, k, w.q, w.y);
    NAME(bound)(T, k, p->condition + lane);
    NAME(load)(p->x, n * k, lane, w.x);
    NAME(rotate)(T, k, w.r, n + 1, false);

    NAME(factorise)(T, k, NAME(fill)(0), F.below, F.inverse);
    NAME(signal)(T, k, F.inverse, p->signal + lane);
    memset(w.q, 0, sizeof(vector) * (size_t)k);
    NAME(add_solution)(F.below, F.inverse, k, NAME(fill)(1), w.r, w.q, F.z, 1);
    for (int64_t i = 0; i < n; i++)
        w.y[0] = NAME(dot)(w.q, w.x + i * k, k), NAME(store)(w.y, 1, lane, p->increment + i * BATCH);

    memset(w.sum, 0, sizeof(vector) * (size_t)(n * k));
    int64_t count = NAME(choose_poles)(poles, p->condition + lane, w.shift, w.weight);
    for (int64_t j = 0; j < count; j++) {
        NAME(factorise)(T, k, w.shift[j], F.below, F.inverse);
        NAME(add_solutions)(F, k, w.weight[j], w.x, w.sum, n);
    }
    NAME(rotate)(T, k, w.sum, n, true);
    NAME(store)(w.sum, n * k, lane, p->xa);
}

/* Solve the columns of a batch that are `wanted` (BATCH), and perhaps others. `work`: solver_bytes, aligned to 64. */
static TARGET void NAME(solve)(const Local *p, const Poles *poles, const bool *wanted, void *work)
{
    const int64_t k = p->table->members, n = p->n, size = system_size(k);
    vector *A = work, *next = A + BATCH / LANES * size;
    NAME(Room) w = {next, next + k, next + 2 * k, next + 3 * k, next + 4 * k, next + 5 * k, next + 6 * k};
    w.sum = w.x + n * k, next = w.sum + n * k;
    w.factors = (NAME(Factors)){next, next + k, next + 2 * k};
    w.shift = next + (2 + MOST_TOGETHER) * k, w.weight = w.shift + MOST_POLES, next = w.weight + MOST_POLES;
    NAME(Sites) sites = {.taper = next, .Y = (REAL *)(next + MOST_SITES)};
    sites.d = sites.Y + MOST_SITES * row_size(k), sites.sum = sites.d + MOST_SITES;
    memset(sites.Y, 0, sizeof(REAL) * (size_t)(MOST_SITES * row_size(k)));

    NAME(assemble)(p, wanted, A, sites);
    for (int lane = 0; lane < BATCH; lane += LANES)
        if (NAME(any)(wanted, lane))
            NAME(solve_system)(p, poles, lane, A + lane / LANES * size, w);
}

#undef LANES
#undef MOST_TOGETHER
#undef vector
