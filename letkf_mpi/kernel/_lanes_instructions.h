/* The kernel for one instruction set: the solver in both precisions, and the tile around it.

   Wants INSTRUCTIONS (its name), TARGET, BYTES, PANEL; see _lanes_solve.h. They end here. */

#define REAL float
#define NAME(x) NAMED(NAMED(x, float), INSTRUCTIONS)
#define SQRT sqrtf
#define TINY 1e-20f
#include "_lanes_solve.h"
#undef REAL
#undef NAME
#undef SQRT
#undef TINY

#define REAL double
#define NAME(x) NAMED(NAMED(x, double), INSTRUCTIONS)
#define SQRT sqrt
#define TINY 1e-50
#include "_lanes_solve.h"
#undef REAL
#undef NAME
#undef SQRT
#undef TINY

#define NAME(x) NAMED(x, INSTRUCTIONS)
#define SOLVE32 NAMED(NAMED(solve, float), INSTRUCTIONS)
#define SOLVE64 NAMED(NAMED(solve, double), INSTRUCTIONS)
#include "_lanes_tile.h"
#undef NAME
#undef SOLVE32
#undef SOLVE64

#undef INSTRUCTIONS
#undef TARGET
#undef BYTES
#undef PANEL
