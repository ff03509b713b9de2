// The two passes with AVX2. The functions marked so are compiled for it, and run only if the
// processor has it.
#include "kernel.h"

#ifdef __x86_64__
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))

// Add two weighted rows to the sums of 16 samples. The halves of a vector are unpacked and packed
// apart, so the samples end up in their own order.
AVX2 static inline void add_rows(__m256i sums[2], const int16_t *row, const int16_t *next,
                                 __m256i k)
{
    __m256i a = _mm256_loadu_si256((const __m256i *)row);
    __m256i b = _mm256_loadu_si256((const __m256i *)next);
    sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), k));
    sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), k));
}

AVX2 static inline void store(int16_t *to, const __m256i sums[2])
{
    __m256i low = _mm256_srai_epi32(sums[0], WEIGHT_BITS);
    __m256i high = _mm256_srai_epi32(sums[1], WEIGHT_BITS);
    _mm256_storeu_si256((__m256i *)to, _mm256_packs_epi32(low, high));
}

AVX2 static void vertical(int16_t *to, const int16_t *const *rows, const int16_t *weights,
                          int taps, int samples)
{
    const __m256i rounding = _mm256_set1_epi32(ROUNDING);
    for (int i = 0; i < samples; i += 32) {
        __m256i left[2] = {rounding, rounding}, right[2] = {rounding, rounding};
        for (int t = 0; t < taps; t += 2) {
            __m256i k = _mm256_set1_epi32(two_weights(weights + t));
            add_rows(left, rows[t] + i, rows[t + 1] + i, k);
            add_rows(right, rows[t] + i + 16, rows[t + 1] + i + 16, k);
        }
        store(to + i, left);
        store(to + i + 16, right);
    }
}

// Return the sums of one window in eight lanes, which are still to be added up.
AVX2 static inline __m256i eight_sums(const int16_t *inputs, const int16_t *weights, int stride)
{
    __m256i sums = _mm256_setzero_si256();
    for (int t = 0; t < stride; t += 16) {
        __m256i a = _mm256_loadu_si256((const __m256i *)(inputs + t));
        __m256i k = _mm256_loadu_si256((const __m256i *)(weights + t));
        sums = _mm256_add_epi32(sums, _mm256_madd_epi16(a, k));
    }
    return sums;
}

// Return {a0 + a2, b0 + b2, a1 + a3, b1 + b3} of each half, of which one half is still to be added
// to the other.
AVX2 static inline __m256i fold_pairs(__m256i a, __m256i b)
{
    return _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
}

AVX2 static void horizontal(int16_t *to, const int16_t *plane, const struct windows *windows)
{
    const int *first = windows->first;
    const int16_t *weights = windows->weights;
    const int stride = windows->stride;
    for (int x = 0; x < windows->outputs; x += 4, first += 4) {
        __m256i sums[4];
        for (int j = 0; j < 4; j++, weights += stride)
            sums[j] = eight_sums(plane + first[j], weights, stride);
        __m256i a = fold_pairs(sums[0], sums[1]), b = fold_pairs(sums[2], sums[3]);
        a = _mm256_add_epi32(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
        __m128i whole = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
        whole = _mm_srai_epi32(_mm_add_epi32(whole, _mm_set1_epi32(ROUNDING)), WEIGHT_BITS);
        _mm_storel_epi64((__m128i *)(to + x), _mm_packs_epi32(whole, whole));
    }
}

const struct passes passes_avx2 = {vertical, horizontal};
#endif
