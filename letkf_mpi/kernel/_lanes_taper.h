/* Horizontal tapers of sites in the columns of a batch: a template, included once for each instruction set.

   Wants TARGET, NAME(x), EACH_LANE. letkf_mpi/kernel/tapers.py defines what it computes. */

/* Tapers (BATCH) of a site; `column` (3, BATCH) are the columns' points. Within reach none is 0, so that what is seen does
   not depend on rounding. */
static TARGET void NAME(taper)(const Taper *fit, const double *site, const double *column, double *to)
{
    double u[BATCH] = {0}, z[BATCH], h[BATCH] = {0}, near[BATCH]; /* near: 1 below the knot */
    for (int i = 0; i < 3; i++)
        EACH_LANE
        {
            double apart = column[i * BATCH + l] - site[i];
            u[l] += apart * apart;
        }
    EACH_LANE z[l] = sqrt(u[l]) / (2 + sqrt(4 - u[l] > 0 ? 4 - u[l] : 0));
    EACH_LANE near[l] = z[l] < fit->knot;
    EACH_LANE z[l] = near[l] > 0 ? fit->slope[0] * z[l] + fit->shift[0] : fit->slope[1] * z[l] + fit->shift[1];
    for (int64_t j = fit->order - 1; j >= 0; j--) {
        const double c = fit->coefficient[j], beyond = fit->coefficient[fit->order + j];
        EACH_LANE h[l] = h[l] * z[l] + (near[l] > 0 ? c : beyond);
    }
    EACH_LANE to[l] = u[l] < fit->cut ? (h[l] > LEAST_TAPER ? h[l] : LEAST_TAPER) : 0;
}
