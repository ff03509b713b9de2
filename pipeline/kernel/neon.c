// The two passes with NEON, which every arm64 has. Its narrowing shift adds ROUNDING and saturates
// by itself.
#include "kernel.h"

#ifdef __aarch64__
#include <arm_neon.h>

static void vertical(int16_t *to, const int16_t *const *rows, const int16_t *weights, int taps,
                     int samples)
{
    for (int i = 0; i < samples; i += 8) {
        int32x4_t low = vdupq_n_s32(0), high = low;
        for (int t = 0; t < taps; t++) {
            int16x8_t a = vld1q_s16(rows[t] + i);
            low = vmlal_n_s16(low, vget_low_s16(a), weights[t]);
            high = vmlal_n_s16(high, vget_high_s16(a), weights[t]);
        }
        int16x4_t left = vqrshrn_n_s32(low, WEIGHT_BITS);
        vst1q_s16(to + i, vcombine_s16(left, vqrshrn_n_s32(high, WEIGHT_BITS)));
    }
}

// Return the sums of one window in four lanes, which are still to be added up.
static inline int32x4_t four_sums(const int16_t *inputs, const int16_t *weights, int stride)
{
    int32x4_t sums = vdupq_n_s32(0);
    for (int t = 0; t < stride; t += 8) {
        int16x8_t a = vld1q_s16(inputs + t), k = vld1q_s16(weights + t);
        sums = vmlal_s16(sums, vget_low_s16(a), vget_low_s16(k));
        sums = vmlal_s16(sums, vget_high_s16(a), vget_high_s16(k));
    }
    return sums;
}

static void horizontal(int16_t *to, const int16_t *plane, const struct windows *windows)
{
    const int *first = windows->first;
    const int16_t *weights = windows->weights;
    const int stride = windows->stride;
    for (int x = 0; x < windows->outputs; x += 4, first += 4) {
        int32x4_t sums[4];
        for (int j = 0; j < 4; j++, weights += stride)
            sums[j] = four_sums(plane + first[j], weights, stride);
        int32x4_t whole = vpaddq_s32(vpaddq_s32(sums[0], sums[1]), vpaddq_s32(sums[2], sums[3]));
        vst1_s16(to + x, vqrshrn_n_s32(whole, WEIGHT_BITS));
    }
}

const struct passes passes_neon = {vertical, horizontal};
#endif
