/* What native code shares: vectors, and the lanes of a map. A map's channels come in groups of LANES, which are REGISTERS
   vectors of WIDTH numbers, as the instructions have them that this is built for. */

#ifndef LANES_H
#define LANES_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LANES 16
#if defined(__AVX512F__)
#define WIDTH 16
#define PLACES 8    /* of a row, held in registers at once */
#define SCATTERED 5 /* the same, where they are added to cells that they share: as many as with AVX2, for the same sums */
#define COLUMNS 12  /* of a weight's gradient, held in registers at once */
#elif defined(__AVX__)
#define WIDTH 8
#define PLACES 5
#define SCATTERED 5
#define COLUMNS 6
#else
#define WIDTH 4
#define PLACES 2
#define SCATTERED 2
#define COLUMNS 2
#endif
#define REGISTERS (LANES / WIDTH)
#define ALIGNED 64
#define INLINE static inline __attribute__((always_inline))
#define UNROLLED _Pragma("GCC unroll 16")

typedef float vector __attribute__((vector_size(WIDTH * 4), aligned(WIDTH * 4), may_alias));
typedef int32_t whole __attribute__((vector_size(WIDTH * 4), aligned(WIDTH * 4), may_alias));
typedef float loose __attribute__((vector_size(WIDTH * 4), aligned(4), may_alias));

/* Sums are made in the same order with AVX-512 as with AVX2: what is found there is the same to the last bit. */
#define SUMMED (WIDTH < 8 ? WIDTH : 8)
typedef float summand __attribute__((vector_size(SUMMED * 4), aligned(SUMMED * 4), may_alias));

INLINE float total(summand v) {
    float sum = 0;
    for (int i = 0; i < SUMMED; i++) sum += v[i];
    return sum;
}

static float dot(const float *a, const float *b, size_t n) { /* n: a multiple of LANES */
    summand sums[4] = {{0}};
    size_t i = 0;
    for (; i + 4 * SUMMED <= n; i += 4 * SUMMED)
        UNROLLED for (int j = 0; j < 4; j++) sums[j] += *(summand *)(a + i + j * SUMMED) * *(summand *)(b + i + j * SUMMED);
    for (; i < n; i += SUMMED) sums[0] += *(summand *)(a + i) * *(summand *)(b + i);
    return total((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

/* A loop whose body needs its number as a constant, so that an array of that length lives in registers. */
#define CONSTANT(n, most, CALL)                                                                                         \
    switch (n) {                                                                                                        \
        CASE(1, most, CALL) CASE(2, most, CALL) CASE(3, most, CALL) CASE(4, most, CALL) CASE(5, most, CALL)             \
        CASE(6, most, CALL) CASE(7, most, CALL) CASE(8, most, CALL) CASE(9, most, CALL) CASE(10, most, CALL)            \
        CASE(11, most, CALL) CASE(12, most, CALL)                                                                       \
    }
#define CASE(k, most, CALL)                                                                                             \
    case k:                                                                                                             \
        if (k <= most) { CALL(k <= most ? k : 1); }                                                                     \
        break;

/* Parts of about equal size, none above `most`, that make up a whole. */
INLINE int part(int most, int left) {
    const int parts = (left + most - 1) / most;
    return (left + parts - 1) / parts;
}

/* Aligned memory, all zero; NULL: there is none. */
static void *zeros(size_t bytes) {
    bytes = (bytes + ALIGNED - 1) / ALIGNED * ALIGNED + ALIGNED;
    void *found = aligned_alloc(ALIGNED, bytes);
    return found ? memset(found, 0, bytes) : NULL;
}

#define NUMBERS(count) zeros((size_t)(count) * sizeof(float))

#endif
