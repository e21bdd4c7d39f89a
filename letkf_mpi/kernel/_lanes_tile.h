/* The analysis of a tile: a template, included once for each instruction set.

   Wants TARGET, NAME(x), SOLVE32 and SOLVE64.

   Sixteen columns at a time share one list of observations; the horizontal tapers serve all levels. Sums, the split
   into mean and perturbations, relaxation and what is told are in double precision. Loops over lanes `l` have a fixed
   length so that the compiler makes vectors of them. */

#define EACH_LANE for (int l = 0; l < BATCH; l++)

#include "_lanes_taper.h"

/* `width` floats, of which nearly always there are BATCH: then without a call. */
static ALWAYS_INLINE TARGET void NAME(copy)(void *to, const void *from, int64_t width)
{
    if (width == BATCH)
        memcpy(to, from, sizeof(float) * BATCH);
    else
        memcpy(to, from, sizeof(float) * (size_t)width);
}

/* Working space of a batch of columns. */
typedef struct {
    Seen *seen, *group_seen;
    Nearest nearest;
    double *horizontal, *x, *xa, *exact, *increment, *mean;
    void *solver;
} NAME(Work);

/* What a level's observations amount to in each lane. */
typedef struct {
    double count[BATCH], weight_sum[BATCH], square[BATCH], power[BATCH];
} NAME(Sums);

/* The sites that some column sees, with the batch's tapers (site, BATCH). Returns their number; their `site` in which. */
static TARGET int64_t NAME(near_sites)(const Shared *shared, const Tile *tile, int64_t first, int64_t width,
                                       double *horizontal, int64_t *which)
{
    double column[3 * BATCH] = {0};
    int64_t count = 0;
    for (int l = 0; l < width && tile->horizontal == NULL; l++)
        for (int i = 0; i < 3; i++)
            column[i * BATCH + l] = tile->point[(first + l) * 3 + i];
    for (int64_t s = 0; s < tile->sites; s++) {
        double *to = horizontal + count * BATCH, most = 0;
        if (tile->horizontal != NULL)
            memcpy(to, tile->horizontal + s * tile->width + first, sizeof(double) * (size_t)width);
        else
            NAME(taper)(&shared->taper, shared->point + 3 * tile->site[s], column, to);
        EACH_LANE to[l] = l < width ? to[l] : 0;
        EACH_LANE most = to[l] > most ? to[l] : most;
        which[count] = tile->site[s];
        count += most > 0;
    }
    return count;
}

/* The observations of these sites within vertical reach of a level. Returns their number. */
static TARGET int64_t NAME(look)(const Shared *shared, int64_t level, const double *horizontal, const int64_t *site,
                                 int64_t sites, Seen *seen)
{
    const double *vertical = shared->vertical + level * shared->nobs;
    int64_t count = 0;
    for (int64_t s = 0; s < sites; s++)
        for (int64_t i = shared->first_row[site[s]]; i < shared->first_row[site[s] + 1]; i++)
            if (vertical[i] > 0)
                seen[count++] = (Seen){shared->rows[i], i, vertical[i], sqrt(vertical[i]), horizontal + s * BATCH};
    return count;
}

static TARGET void NAME(add_up)(const Shared *shared, const Seen *seen, int64_t count, NAME(Sums) *sums)
{
    *sums = (NAME(Sums)){{0}, {0}, {0}, {0}};
    for (int64_t first = 0, rows; first < count; first += rows) {
        double weight = 0, square = 0, power = 0;
        const double *here = seen[first].horizontal;
        rows = of_one_site(seen + first, count - first);
        for (int64_t i = first; i < first + rows; i++) {
            weight += seen[i].vertical;
            square += seen[i].vertical * shared->square[seen[i].place];
            power += seen[i].vertical * shared->power[seen[i].place];
        }
        EACH_LANE
        {
            sums->count[l] += here[l] > 0 ? (double)rows : 0.0;
            sums->weight_sum[l] += here[l] * weight;
            sums->square[l] += here[l] * square;
            sums->power[l] += here[l] * power;
        }
    }
}

/* Background mean (BATCH) and perturbations (k, BATCH) of a channel, zero in lanes beyond the width. */
static TARGET void NAME(split)(const Tile *tile, int64_t k, int64_t channel, int64_t first, int64_t width, double *mean,
                               double *x)
{
    float row[BATCH] = {0};
    EACH_LANE mean[l] = 0;
    for (int64_t i = 0; i < k; i++) {
        NAME(copy)(row, tile->X + i * tile->member_stride + channel * tile->channel_stride + 4 * first, width);
        EACH_LANE x[i * BATCH + l] = row[l];
        EACH_LANE mean[l] += row[l];
    }
    EACH_LANE mean[l] /= (double)k;
    for (int64_t i = 0; i < k; i++)
        EACH_LANE x[i * BATCH + l] -= mean[l];
}

/* The lanes that single precision served ill, in double precision. */
static TARGET void NAME(solve_again)(const Shared *shared, const Local *p, const bool *poor, NAME(Work) *w)
{
    const int64_t elements = p->n * p->table->members;
    double signal[BATCH], condition[BATCH];
    Local exact = *p;
    exact.xa = w->exact, exact.increment = w->exact + elements * BATCH;
    exact.signal = signal, exact.condition = condition;
    SOLVE64(&exact, &shared->precise, poor, w->solver);
    for (int l = 0; l < BATCH; l++) {
        if (!poor[l])
            continue;
        for (int64_t e = 0; e < elements; e++)
            p->xa[e * BATCH + l] = exact.xa[e * BATCH + l];
        for (int64_t i = 0; i < p->n; i++)
            p->increment[i * BATCH + l] = exact.increment[i * BATCH + l];
        p->signal[l] = signal[l], p->condition[l] = condition[l];
    }
}

/* Solve the first `width` lanes: in single precision where that is wanted and the condition number allows it. */
static TARGET void NAME(solve_batch)(const Shared *shared, const Options *options, const Local *p, int64_t width,
                                     NAME(Work) *w)
{
    bool wanted[BATCH], any = false;
    EACH_LANE wanted[l] = l < width;
    if (options->single) {
        SOLVE32(p, &shared->single, wanted, w->solver);
        EACH_LANE wanted[l] = l < width && !(p->condition[l] <= options->most_condition);
        EACH_LANE any |= wanted[l];
        if (any)
            NAME(solve_again)(shared, p, wanted, w);
    } else {
        SOLVE64(p, &shared->precise, wanted, w->solver);
    }
}

/* x (k, BATCH) -> sqrt(beta) x without its mean, which is zero but for rounding; without an observation from the
   background xb itself, or, in the ablation, by a matrix of ones. */
static TARGET void NAME(scale)(int64_t k, const double *beta, const double *count, bool all_ones, const double *xb,
                               double *x)
{
    double root[BATCH], mean[BATCH] = {0}, total[BATCH] = {0};
    EACH_LANE root[l] = sqrt(beta[l]);
    for (int64_t i = 0; i < k; i++) {
        EACH_LANE mean[l] += x[i * BATCH + l];
        EACH_LANE total[l] += xb[i * BATCH + l];
    }
    EACH_LANE mean[l] /= (double)k;
    for (int64_t i = 0; i < k; i++)
        EACH_LANE
        {
            double alone = all_ones ? total[l] : xb[i * BATCH + l];
            x[i * BATCH + l] = root[l] * (count[l] > 0 ? x[i * BATCH + l] - mean[l] : alone);
        }
}

/* Standard deviation over members of perturbations (k, BATCH). */
static ALWAYS_INLINE TARGET void NAME(spread)(int64_t k, const double *x, double *spread)
{
    EACH_LANE spread[l] = 0;
    for (int64_t i = 0; i < k; i++)
        EACH_LANE spread[l] += x[i * BATCH + l] * x[i * BATCH + l];
    EACH_LANE spread[l] = sqrt(spread[l] / (double)(k - 1));
}

/* Relax x (k, BATCH) towards xb of spread `before`; adds spread after / before relaxation to ratio and to how many. */
static TARGET void NAME(relax)(const Options *options, int64_t k, const double *xb, const double *before, double *x,
                               double *ratio, double *ratios)
{
    double own[BATCH], factor[BATCH], after[BATCH];
    const double alpha = options->alpha;
    NAME(spread)(k, x, own);
    if (options->relaxation == TO_PERTURBATIONS) {
        for (int64_t i = 0; i < k; i++)
            EACH_LANE x[i * BATCH + l] = alpha * xb[i * BATCH + l] + (1 - alpha) * x[i * BATCH + l];
    } else if (options->relaxation == TO_SPREAD) {
        EACH_LANE factor[l] = 1 - alpha + alpha * (own[l] > 0 ? before[l] / (own[l] > 0 ? own[l] : 1) : 1);
        for (int64_t i = 0; i < k; i++)
            EACH_LANE x[i * BATCH + l] *= factor[l];
    }
    NAME(spread)(k, x, after);
    EACH_LANE ratio[l] += own[l] > 0 ? after[l] / (own[l] > 0 ? own[l] : 1) : 0;
    EACH_LANE ratios[l] += own[l] > 0 ? 1 : 0;
}

static ALWAYS_INLINE TARGET void NAME(put)(double *rows, const Tile *tile, int64_t row, int64_t first, int64_t width,
                                           const double *from)
{
    memcpy(rows + row * tile->width + first, from, sizeof(double) * (size_t)width);
}

/* Write a channel of mean `mean` and perturbations x (k, BATCH), as float, and tell of it. x is used up. */
static TARGET void NAME(finish)(const Shared *shared, const Tile *tile, int64_t channel, int64_t first, int64_t width,
                                const double *mean, double *x)
{
    const int64_t k = shared->table.members, humidity = shared->humidity[channel];
    double total[BATCH] = {0}, extreme[BATCH], spread[BATCH];
    float value[BATCH] = {0}, least[BATCH], most[BATCH], negative[BATCH] = {0};
    EACH_LANE least[l] = INFINITY;
    EACH_LANE most[l] = -INFINITY;
    for (int64_t i = 0; i < k; i++) {
        EACH_LANE value[l] = (float)(mean[l] + x[i * BATCH + l]);
        if (humidity == NOT_NEGATIVE) {
            EACH_LANE negative[l] += value[l] < 0 ? 1 : 0;
            EACH_LANE value[l] = value[l] < 0 ? 0 : value[l];
        } else if (humidity == KEPT) {
            const char *from = tile->X + i * tile->member_stride + channel * tile->channel_stride + 4 * first;
            NAME(copy)(value, from, width);
        }
        NAME(copy)(tile->analysis + (i * shared->channels + channel) * tile->width + first, value, width);
        EACH_LANE x[i * BATCH + l] = value[l];
        EACH_LANE total[l] += value[l];
        EACH_LANE least[l] = value[l] < least[l] ? value[l] : least[l];
        EACH_LANE most[l] = value[l] > most[l] ? value[l] : most[l];
    }
    EACH_LANE total[l] /= (double)k;
    EACH_LANE least[l] = total[l] == total[l] ? least[l] : (float)total[l]; /* a NaN stays */
    EACH_LANE most[l] = total[l] == total[l] ? most[l] : (float)total[l];
    for (int64_t i = 0; i < k; i++)
        EACH_LANE x[i * BATCH + l] -= total[l];
    NAME(spread)(k, x, spread);
    NAME(put)(tile->mean, tile, channel, first, width, total);
    NAME(put)(tile->spread, tile, channel, first, width, spread);
    EACH_LANE extreme[l] = least[l];
    NAME(put)(tile->least, tile, channel, first, width, extreme);
    EACH_LANE extreme[l] = most[l];
    NAME(put)(tile->most, tile, channel, first, width, extreme);
    for (int64_t l = 0; l < width; l++)
        tile->clipped[first + l] += (int64_t)negative[l];
}

/* What the level's inflation and diagnostics are made of. */
typedef struct {
    double beta[BATCH], gain[BATCH], ratio[BATCH], ratios[BATCH], signal[BATCH], channels;
} NAME(Level);

/* The channels of a group: split, solve, scale, relax, write. */
static TARGET void NAME(analyse_group)(const Shared *shared, const Options *options, const Tile *tile, int64_t group,
                                       int64_t first, int64_t width, int64_t count, NAME(Level) *level, NAME(Work) *w)
{
    const int64_t k = shared->table.members, row = k * BATCH, *channel = shared->channel + shared->first_channel[group];
    const int64_t n = shared->first_channel[group + 1] - shared->first_channel[group];
    const uint8_t *sees = shared->sees + group * shared->nobs;
    double counts[BATCH] = {0}, signal[BATCH], condition[BATCH], before[BATCH];
    Seen *seen = w->seen;
    if (!shared->sees_all[group]) {
        int64_t kept = 0;
        for (int64_t i = 0; i < count; i++)
            if (sees[w->seen[i].place])
                w->group_seen[kept++] = w->seen[i];
        seen = w->group_seen, count = kept;
    }
    for (int64_t i = 0; i < count; i += of_one_site(seen + i, count - i))
        EACH_LANE counts[l] += seen[i].horizontal[l];
    for (int64_t i = 0; i < n; i++)
        NAME(split)(tile, k, channel[i], first, width, w->mean + i * BATCH, w->x + i * row);
    Local p = {&shared->table, seen, count, level->gain, w->x, n, w->xa, w->increment, signal, condition};
    NAME(solve_batch)(shared, options, &p, width, w);
    EACH_LANE level->signal[l] += signal[l] * (double)n;
    level->channels += (double)n;

    for (int64_t i = 0; i < n; i++) {
        double *xa = w->xa + i * row, *xb = w->x + i * row, *mean = w->mean + i * BATCH;
        NAME(scale)(k, level->beta, counts, options->all_ones, xb, xa);
        NAME(spread)(k, xb, before);
        NAME(put)(tile->background_spread, tile, channel[i], first, width, before);
        NAME(relax)(options, k, xb, before, xa, level->ratio, level->ratios);
        EACH_LANE mean[l] += w->increment[i * BATCH + l];
        NAME(finish)(shared, tile, channel[i], first, width, mean, xa);
    }
}

/* All levels of up to BATCH columns from `first` on. */
static TARGET void NAME(analyse_batch)(const Shared *shared, const Options *options, const Tile *tile, int64_t first,
                                       int64_t *site, NAME(Work) *w)
{
    const int64_t width = tile->width - first < BATCH ? tile->width - first : BATCH;
    const int64_t sites = NAME(near_sites)(shared, tile, first, width, w->horizontal, site);
    int64_t group = 0;
    for (int64_t j = 0; j < shared->levels; j++) {
        NAME(Sums) sums;
        NAME(Level) level = {{0}, {0}, {0}, {0}, {0}, 0};
        double left_out[BATCH] = {0};
        int64_t count = NAME(look)(shared, j, w->horizontal, site, sites, w->seen);
        if (shared->limits)
            count = keep_nearest(shared, w->seen, count, &w->nearest, left_out);
        NAME(add_up)(shared, w->seen, count, &sums);
        EACH_LANE level.beta[l] = l < width ? tile->inflation[j * tile->width + first + l] : 1;
        EACH_LANE level.gain[l] = level.beta[l] / (double)(shared->table.members - 1);
        for (; group < shared->groups && shared->level[group] == j; group++)
            NAME(analyse_group)(shared, options, tile, group, first, width, count, &level, w);
        EACH_LANE level.ratio[l] = level.ratios[l] > 0 ? level.ratio[l] / level.ratios[l] : 1;
        EACH_LANE level.signal[l] /= level.channels;
        NAME(put)(tile->count, tile, j, first, width, sums.count);
        NAME(put)(tile->weight_sum, tile, j, first, width, sums.weight_sum);
        NAME(put)(tile->square, tile, j, first, width, sums.square);
        NAME(put)(tile->power, tile, j, first, width, sums.power);
        NAME(put)(tile->signal, tile, j, first, width, level.signal);
        NAME(put)(tile->relaxation, tile, j, first, width, level.ratio);
        NAME(put)(tile->left_out, tile, j, first, width, left_out);
    }
}

static TARGET bool NAME(analyse)(const Shared *shared, const Options *options, const Tile *tile, Room *room)
{
    const int64_t k = shared->table.members, sites = tile->sites;
    int64_t rows = 0, n = 0;
    for (int64_t s = 0; s < sites; s++)
        rows += shared->first_row[tile->site[s] + 1] - shared->first_row[tile->site[s]];
    for (int64_t g = 0; g < shared->groups; g++)
        n = shared->first_channel[g + 1] - shared->first_channel[g] > n
                ? shared->first_channel[g + 1] - shared->first_channel[g] : n;
    int64_t kinds = 0, listed = shared->limits ? rows + 1 : 0;
    for (int64_t q = 0; q < shared->limits; q++)
        kinds = shared->limit[q].kinds > kinds ? shared->limit[q].kinds : kinds;
    const size_t lane = sizeof(double) * BATCH, state = lane * (size_t)(n * k);
    enum { PARTS = 14 };
    const size_t sizes[PARTS] = {solver_bytes(k, n), state, state, state + lane * (size_t)n, lane * (size_t)n,
                                 lane * (size_t)n, lane * (size_t)(sites + 1), lane * (size_t)listed,
                                 sizeof(Seen) * (size_t)(rows + 1), sizeof(Seen) * (size_t)(rows + 1),
                                 sizeof(Candidate) * (size_t)listed, sizeof(Candidate) * (size_t)listed,
                                 2 * sizeof(int64_t) * (size_t)(kinds + 1), sizeof(int64_t) * (size_t)(sites + 1)};
    size_t bytes = 0;
    for (int i = 0; i < PARTS; i++)
        bytes += sizes[i];
    char *part[PARTS] = {has_room(room, bytes)};
    if (part[0] == NULL)
        return false;
    for (int i = 1; i < PARTS; i++)
        part[i] = part[i - 1] + sizes[i - 1];
    int64_t *start = (int64_t *)part[12];
    NAME(Work) w = {.solver = part[0], .x = (double *)part[1], .xa = (double *)part[2], .exact = (double *)part[3],
                    .increment = (double *)part[4], .mean = (double *)part[5], .horizontal = (double *)part[6],
                    .seen = (Seen *)part[8], .group_seen = (Seen *)part[9],
                    .nearest = {(Candidate *)part[10], (Candidate *)part[11], start, start + kinds + 1,
                                (double *)part[7]}};
    memset(part[1], 0, (size_t)(part[6] - part[1])); /* lanes beyond the width stay finite */
    for (int64_t first = 0; first < tile->width; first += BATCH)
        NAME(analyse_batch)(shared, options, tile, first, (int64_t *)part[13], &w);
    return true;
}

/* Weights of `width` columns that see the same observations with tapers (count, width): w (width, k), W (width, k, k). */
static TARGET bool NAME(weights)(const Shared *shared, const Options *options, int64_t width, const double *taper,
                                 const double *inflation, double *mean, double *perturbations, Room *given)
{
    const int64_t k = shared->table.members, count = shared->nobs;
    const size_t lane = sizeof(double) * BATCH, state = lane * (size_t)(k * k);
    const size_t bytes = solver_bytes(k, k) + 3 * state + 2 * lane * (size_t)k + lane * (size_t)(count + 1);
    char *room = has_room(given, bytes + sizeof(Seen) * (size_t)(count + 1));
    if (room == NULL)
        return false;
    double *x = (double *)(room + solver_bytes(k, k)), *xa = x + k * k * BATCH, *exact = xa + k * k * BATCH;
    double *increment = exact + (k * k + k) * BATCH, *horizontal = increment + k * BATCH, gain[BATCH], beta[BATCH];
    double signal[BATCH], condition[BATCH];
    Seen *seen = (Seen *)(room + bytes);
    NAME(Work) w = {.exact = exact, .solver = room};
    memset(x, 0, 2 * state);
    for (int64_t i = 0; i < k; i++)
        EACH_LANE x[(i * k + i) * BATCH + l] = 1;
    for (int64_t i = 0; i < count; i++)
        seen[i] = (Seen){i, i, 1.0, 1.0, horizontal + i * BATCH};
    for (int64_t first = 0; first < width; first += BATCH) {
        int64_t some = width - first < BATCH ? width - first : BATCH;
        for (int64_t i = 0; i < count; i++)
            EACH_LANE horizontal[i * BATCH + l] = l < some ? taper[i * width + first + l] : 0;
        EACH_LANE beta[l] = l < some ? inflation[first + l] : 1;
        EACH_LANE gain[l] = beta[l] / (double)(k - 1);
        Local p = {&shared->table, seen, count, gain, x, k, xa, increment, signal, condition};
        NAME(solve_batch)(shared, options, &p, some, &w);
        for (int64_t l = 0; l < some; l++)
            for (int64_t i = 0; i < k; i++) {
                mean[(first + l) * k + i] = increment[i * BATCH + l];
                for (int64_t j = 0; j < k; j++)
                    perturbations[((first + l) * k + i) * k + j] = sqrt(beta[l]) * xa[(i * k + j) * BATCH + l];
            }
    }
    return true;
}

#undef EACH_LANE
