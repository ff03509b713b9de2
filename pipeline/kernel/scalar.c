// The two passes in plain C: what the other files have to equal.
#include "kernel.h"

// Return the light of a sum that already includes ROUNDING. gcc and clang shift negative numbers
// arithmetically, so the shift rounds down, and the result to the nearest, halves up.
static int16_t saturated(int32_t sum)
{
    int32_t value = sum >> WEIGHT_BITS;
    return value > INT16_MAX ? INT16_MAX : value < INT16_MIN ? INT16_MIN : (int16_t)value;
}

static void vertical(int16_t *to, const int16_t *const *rows, const int16_t *weights, int taps,
                     int samples)
{
    for (int i = 0; i < samples; i++) {
        int32_t sum = ROUNDING;
        for (int t = 0; t < taps; t++)
            sum += rows[t][i] * weights[t];
        to[i] = saturated(sum);
    }
}

static void horizontal(int16_t *to, const int16_t *plane, const struct windows *windows)
{
    const int16_t *weights = windows->weights;
    for (int x = 0; x < windows->outputs; x++, weights += windows->stride) {
        const int16_t *inputs = plane + windows->first[x];
        int32_t sum = ROUNDING;
        for (int t = 0; t < windows->taps; t++)
            sum += inputs[t] * weights[t];
        to[x] = saturated(sum);
    }
}

const struct passes passes_scalar = {vertical, horizontal};
