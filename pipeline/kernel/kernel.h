// Reduction of pictures in linear light, in whole numbers: the same bytes on every machine.
//
// Units. Light is an int16_t, 0 for black and 20000 for white. A weight is an int16_t in parts of
// 2^WEIGHT_BITS, and the weights of a window add up to exactly 1. A row has a plane for each band:
// all samples of red, then all of green, then all of blue.
//
// Ranges. Lanczos windows have negative weights, so beside an edge a weighted sum may be below
// black or above white. It is not clipped to black and white between the two passes, nor between
// two rungs, for that would lose light. The absolute weights of a window add up to less than 2; a
// test holds 1.58. The worst windows are 1.571: of two or of four inputs at the distances 0.5 and
// 1.5, (0.608 + 0.135) / (0.608 - 0.135). So a sum of products is less than 2 * 2^15 * 2^14 = 2^30:
// it never leaves 32 bits, in whatever order it is added up. Rounded and shifted, it is saturated
// to 16 bits, which is 1.638 times white on either side of black.
#ifndef KERNEL_H
#define KERNEL_H

#include <stdint.h>
#include <string.h>

#define LIGHT_COUNT 65536 // values of 16 bits, of which half are negative

// Weights up to 1.28 times 2^14 fit 16 bits; with 15 bits, 1 itself would not.
#define WEIGHT_BITS 14
#define ROUNDING (1 << (WEIGHT_BITS - 1)) // half a unit of light: added before the shift

#define LOBES 3          // of Lanczos3: a window reaches as many output pixels to each side
#define MOST_REDUCTION 8 // of a side in one rung: it bounds a window, and so the rows in a ring
#define MOST_TAPS (2 * LOBES * MOST_REDUCTION)
#define MOST_SIDE (1 << 27) // above libvips' own bound, 10^8; three planes still fit an int
#define MOST_RUNGS 1000     // bounds how deep `advance` calls itself

// Planes, windows and outputs are padded to multiples of these, so that vectors need no remainder:
// two vectors of AVX2, one vector of AVX2, and one store of four outputs.
#define PLANE_BLOCK 32
#define TAPS_BLOCK 16
#define OUTPUTS_BLOCK 4

// The weights of each output. Output `o` is the sum of the inputs from `first[o]` on, weighted by
// weights[o * stride ...]. `taps` is even. From `taps` to `stride`, past the last input, and in
// outputs that are padding, the weights are 0.
struct windows {
    int outputs, taps, stride;
    int *first;
    int16_t *weights;
};

// The two passes, once for each kind of processor; all give the same result.
struct passes {
    // Reduce `taps` weighted rows to one. `taps` is even, `samples` a multiple of PLANE_BLOCK.
    void (*vertical)(int16_t *to, const int16_t *const *rows, const int16_t *weights, int taps,
                     int samples);
    // Reduce a plane to its outputs. May read up to MOST_TAPS samples after the plane's end, which
    // weigh 0 but must be readable, and writes `outputs` rounded up to OUTPUTS_BLOCK.
    void (*horizontal)(int16_t *to, const int16_t *plane, const struct windows *windows);
};

extern const struct passes passes_scalar;
#if defined(__x86_64__)
extern const struct passes passes_sse2, passes_avx2;

// Return two neighbouring weights in 32 bits, as the instructions that multiply pairs take them.
static inline int32_t two_weights(const int16_t *weights)
{
    int32_t both;
    memcpy(&both, weights, sizeof both);
    return both;
}
#elif defined(__aarch64__)
extern const struct passes passes_neon;
#endif

static inline int64_t padded(int64_t number, int block)
{
    return (number + block - 1) / block * block;
}

// Compute the Lanczos3 windows that bring `inputs` samples to `outputs`, both 1 to MOST_SIDE, into
// `windows`, which must be zeros. Return 0, or -1 if there is no memory for them or they have more
// than MOST_TAPS. `windows_free` also takes those of a failed call, and zeros.
int windows_make(struct windows *windows, int inputs, int outputs);
void windows_free(struct windows *windows);

#endif
