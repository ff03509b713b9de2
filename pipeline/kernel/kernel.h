// Reduction of pictures in linear light, in whole numbers: the same bytes on every machine.
//
// Units. Light is an int16_t, 0 for black and 20000 for white. A weight is an int16_t in parts of
// 2^WEIGHT_BITS, and the weights of a window add up to exactly 1. A row has a plane for each
// channel: all samples of red, then all of green, then all of blue.
//
// Ranges. A Lanczos window has negative weights beside bright edges, so a weighted sum may be below
// black or above white. It is not clipped between the two directions, nor between two levels, for
// that would lose light. The absolute weights of a window add up to less than 2, so a sum of
// products is less than 2 * 2^15 * 2^14 = 2^30: it never leaves 32 bits, in whatever order it is
// added up. Rounded and shifted, it is saturated to 16 bits, which is 1.6 times white.
#ifndef KERNEL_H
#define KERNEL_H

#include <stdint.h>

#define LIGHTS 65536 // values of 16 bits, of which half are negative
#define WEIGHT_BITS 14
#define HALF (1 << (WEIGHT_BITS - 1)) // added before the shift, so that sums are rounded

#define MOST_REDUCTION 8 // of a side, in one level
#define MOST_TAPS (6 * MOST_REDUCTION)
#define MOST_SIDE (1 << 24)
#define MOST_LEVELS 1000

// Planes, windows and outputs are padded to multiples of these, so that vectors need no remainder.
#define PLANE_BLOCK 32
#define TAPS_BLOCK 16
#define OUTPUTS_BLOCK 4

// For each output, `taps` weights (an even number) of the inputs from `first` on. The weights of
// two outputs are `stride` apart; those between are 0, as are those of outputs that are padding.
struct windows {
    int outputs, taps, stride;
    int *first;
    int16_t *weights;
};

// The two passes, once for each kind of processor; all give the same result.
struct arithmetic {
    // Weigh `taps` rows into one: `samples` is a multiple of PLANE_BLOCK.
    void (*vertical)(int16_t *to, const int16_t *const *rows, const int16_t *weights, int taps,
                     int samples);
    // Weigh the samples of one plane; reads up to MOST_TAPS samples behind it, with weights of 0.
    void (*horizontal)(int16_t *to, const int16_t *plane, const struct windows *windows);
};

extern const struct arithmetic arithmetic_scalar;
#if defined(__x86_64__)
extern const struct arithmetic arithmetic_sse2, arithmetic_avx2;
#elif defined(__aarch64__)
extern const struct arithmetic arithmetic_neon;
#endif

static inline int64_t padded(int64_t number, int block)
{
    return (number + block - 1) / block * block;
}

// Compute the Lanczos3 windows that bring `inputs` samples to `outputs`; returns 0, or -1 if there
// is no memory for them or they have more than MOST_TAPS. `windows_free` takes windows of zeros,
// too.
int windows_make(struct windows *windows, int inputs, int outputs);
void windows_free(struct windows *windows);

#endif
