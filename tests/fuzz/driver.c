/* The harness without libFuzzer: seeded mutations of seeds, by whatever C compiler there is.

       driver SEED RUNS FILE...

   Not guided by coverage, so it finds less an execution, but the same executions for the same SEED everywhere. The input
   on which the process dies is left in the file `crash`. */

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_FILES = 256, MOST_BYTES = 1 << 14, MOST_MUTATIONS = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static uint64_t state;

/* xorshift64* (Vigna 2016) */
static uint64_t drawn(uint64_t below)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (state * UINT64_C(2685821657736338717) >> 32) % below;
}

static size_t mutated(uint8_t *bytes, size_t size, const uint8_t *other, size_t other_size)
{
    static const uint8_t telling[] = {0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF};
    for (uint64_t n = 1 + drawn(MOST_MUTATIONS); n > 0 && size > 0; n--) {
        size_t at = drawn(size), length = 1 + drawn(8);
        switch (drawn(6)) {
        case 0: bytes[at] ^= (uint8_t)(1 << drawn(8)); break;
        case 1: bytes[at] = telling[drawn(sizeof telling)]; break;
        case 2: bytes[at] = (uint8_t)drawn(256); break;
        case 3: /* cut out */
            length = length < size - at ? length : size - at;
            memmove(bytes + at, bytes + at + length, size - at - length);
            size -= length;
            break;
        case 4: /* again */
            length = length < size - at ? length : size - at;
            if (size + length <= MOST_BYTES) {
                memmove(bytes + at + length, bytes + at, size - at);
                size += length;
            }
            break;
        case 5: /* the rest from another seed */
            if (at < other_size) {
                memcpy(bytes + at, other + at, other_size - at);
                size = other_size;
            }
        }
    }
    return drawn(10) ? size : size - drawn(size + 1);
}

static const uint8_t *now;
static size_t now_size;

static void keep(void)
{
    FILE *file = fopen("crash", "wb");
    if (file != NULL) {
        fwrite(now, 1, now_size, file);
        fclose(file);
    }
}

static void keep_and_die(int number)
{
    keep();
    signal(number, SIG_DFL);
    raise(number);
}

void __sanitizer_set_death_callback(void (*)(void)) __attribute__((weak));

static void try(const uint8_t *bytes, size_t size)
{
    now = bytes;
    now_size = size;
    LLVMFuzzerTestOneInput(bytes, size);
}

int main(int argc, char **argv)
{
    static uint8_t seeds[MOST_FILES][MOST_BYTES], bytes[MOST_BYTES];
    static size_t sizes[MOST_FILES];
    if (argc < 4 || argc - 3 > MOST_FILES) {
        fprintf(stderr, "usage: driver SEED RUNS FILE...   (1 to %d files)\n", MOST_FILES);
        return 2;
    }
    signal(SIGABRT, keep_and_die);
    signal(SIGSEGV, keep_and_die);
    if (__sanitizer_set_death_callback != NULL)
        __sanitizer_set_death_callback(keep);
    state = strtoull(argv[1], NULL, 10) * 2 + 1;
    long runs = strtol(argv[2], NULL, 10), files = argc - 3;
    for (long f = 0; f < files; f++) {
        FILE *file = fopen(argv[f + 3], "rb");
        if (file == NULL) {
            perror(argv[f + 3]);
            return 2;
        }
        sizes[f] = fread(seeds[f], 1, MOST_BYTES, file);
        fclose(file);
        try(seeds[f], sizes[f]); /* as it is, too */
    }
    for (long run = 0; run < runs; run++) {
        size_t one = drawn((uint64_t)files), other = drawn((uint64_t)files), size = sizes[one];
        memcpy(bytes, seeds[one], size);
        size = mutated(bytes, size, seeds[other], sizes[other]);
        try(bytes, size);
    }
    printf("%ld runs of %ld seeds\n", runs, files);
    return 0;
}
