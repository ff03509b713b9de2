// A ladder reduces a picture to several others in one pass: the functions that Python calls.
//
// Each picture that is computed is a rung. The first rung is reduced from the original, and each
// other one from a rung before it, its source. A source hands every finished row on to the rungs
// that are reduced from it. The original's rows are pushed once, from top to bottom.
//
// Pixels are 8 bits a sample, sRGB or grey, the bands of a pixel beside each other, without gaps
// between rows. A level is such a sample, 0 to 255.
#ifndef LADDER_H
#define LADDER_H

#include <stdint.h>

#define PUBLIC __attribute__((visibility("default")))

// Raise it with every change of what this header declares.
#define LADDER_VERSION 1

// What Python must agree on: LADDER_VERSION, LIGHT_COUNT, WEIGHT_BITS, LOBES, MOST_REDUCTION,
// MOST_SIDE, MOST_RUNGS, PLANE_BLOCK, TAPS_BLOCK, OUTPUTS_BLOCK, sizeof(struct rung).
PUBLIC extern const int32_t ladder_contract[11];

#define FROM_ORIGINAL (-1)

// A rung to compute.
struct rung {
    int32_t width, height; // 1 to MOST_SIDE; the source has at most MOST_REDUCTION times as much
    int32_t source;        // the number of an earlier rung; FROM_ORIGINAL for the first one alone
    uint8_t *out;          // width * height * bands bytes for the pixels, or NULL to store none
};

struct ladder;

// Return a ladder of `count` rungs, 1 to MOST_RUNGS, for an original of these dimensions, 1 to
// MOST_SIDE, and of 1 or 3 bands. Return NULL if a number is out of range or there is no memory.
//
// `light_of_level` has the light of each of 256 levels, and `level_of_light` the level of each
// light from -32768 to 32767. `matrix`, or NULL, converts the colours of three bands in light, in
// the first rung. It has nine numbers in parts of 2^14, row by row: the first three make red. The
// absolute numbers of a row must add up to less than 2. The tables, the matrix and every `out` must
// live as long as the ladder.
PUBLIC struct ladder *ladder_new(int width, int height, int bands, const struct rung *rungs,
                                 int count, const int16_t *light_of_level,
                                 const uint8_t *level_of_light, const int16_t *matrix);

// Add the next `count` rows of the original. Return how many rows of the last rung are finished in
// all so far, or -1, and nothing is added, if the original has fewer rows left.
PUBLIC int ladder_push(struct ladder *ladder, const uint8_t *rows, int count);

// Free a ladder, finished or not; like `free`, it takes NULL.
PUBLIC void ladder_free(struct ladder *ladder);

// Choose the instructions for all ladders to come by name: scalar, sse2, avx2 or neon; the best
// ones are the default. Return 0, or -1 if this processor has none of that name.
PUBLIC int ladder_choose(const char *name);

// Compute one window, for tests: the weights of output `output`, for which there must be room for
// MOST_TAPS, and in `first` its first input. Return the number of weights, or 0 if a number is out
// of range or there is no memory.
PUBLIC int ladder_window(int inputs, int outputs, int output, int *first, int16_t *weights);

#endif
