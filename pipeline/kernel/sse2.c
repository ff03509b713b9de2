// The two passes with SSE2, which every x86-64 has: two products a lane and instruction.
#include "kernel.h"

#ifdef __x86_64__
#include <emmintrin.h>

// Add two weighted rows to the sums of eight samples.
static inline void add_rows(__m128i sums[2], const int16_t *row, const int16_t *next, __m128i k)
{
    __m128i a = _mm_loadu_si128((const __m128i *)row);
    __m128i b = _mm_loadu_si128((const __m128i *)next);
    sums[0] = _mm_add_epi32(sums[0], _mm_madd_epi16(_mm_unpacklo_epi16(a, b), k));
    sums[1] = _mm_add_epi32(sums[1], _mm_madd_epi16(_mm_unpackhi_epi16(a, b), k));
}

static inline void store(int16_t *to, const __m128i sums[2])
{
    __m128i low = _mm_srai_epi32(sums[0], WEIGHT_BITS);
    __m128i high = _mm_srai_epi32(sums[1], WEIGHT_BITS);
    _mm_storeu_si128((__m128i *)to, _mm_packs_epi32(low, high));
}

static void vertical(int16_t *to, const int16_t *const *rows, const int16_t *weights, int taps,
                     int samples)
{
    const __m128i rounding = _mm_set1_epi32(ROUNDING);
    for (int i = 0; i < samples; i += 16) {
        __m128i left[2] = {rounding, rounding}, right[2] = {rounding, rounding};
        for (int t = 0; t < taps; t += 2) {
            __m128i k = _mm_set1_epi32(two_weights(weights + t));
            add_rows(left, rows[t] + i, rows[t + 1] + i, k);
            add_rows(right, rows[t] + i + 8, rows[t + 1] + i + 8, k);
        }
        store(to + i, left);
        store(to + i + 8, right);
    }
}

// Return the sums of one window in four lanes, which are still to be added up.
static inline __m128i four_sums(const int16_t *inputs, const int16_t *weights, int stride)
{
    __m128i sums = _mm_setzero_si128();
    for (int t = 0; t < stride; t += 8) {
        __m128i a = _mm_loadu_si128((const __m128i *)(inputs + t));
        __m128i k = _mm_loadu_si128((const __m128i *)(weights + t));
        sums = _mm_add_epi32(sums, _mm_madd_epi16(a, k));
    }
    return sums;
}

// Return {a0 + a2, b0 + b2, a1 + a3, b1 + b3}, of which one half is still to be added to the other.
static inline __m128i fold_pairs(__m128i a, __m128i b)
{
    return _mm_add_epi32(_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b));
}

static void horizontal(int16_t *to, const int16_t *plane, const struct windows *windows)
{
    const int *first = windows->first;
    const int16_t *weights = windows->weights;
    const int stride = windows->stride;
    for (int x = 0; x < windows->outputs; x += 4, first += 4) {
        __m128i sums[4];
        for (int j = 0; j < 4; j++, weights += stride)
            sums[j] = four_sums(plane + first[j], weights, stride);
        __m128i low = fold_pairs(sums[0], sums[1]), high = fold_pairs(sums[2], sums[3]);
        __m128i whole = _mm_add_epi32(_mm_unpacklo_epi64(low, high), _mm_unpackhi_epi64(low, high));
        whole = _mm_srai_epi32(_mm_add_epi32(whole, _mm_set1_epi32(ROUNDING)), WEIGHT_BITS);
        _mm_storel_epi64((__m128i *)(to + x), _mm_packs_epi32(whole, whole));
    }
}

const struct passes passes_sse2 = {vertical, horizontal};
#endif
