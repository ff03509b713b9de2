// The functions that Python calls.
#ifndef LADDER_H
#define LADDER_H

#include <stdint.h>

#define PUBLIC __attribute__((visibility("default")))

// A level of the ladder: its dimensions; the number of the level that it is reduced from, or -1 for
// the original; and where its rows of 8 bits go, or NULL. The first level alone has no parent.
struct step {
    int32_t width, height, parent;
    uint8_t *out;
};

struct ladder;

// Return a ladder for an original of these dimensions and of 1 or 3 bands; NULL if a number is out
// of range or there is no memory.
//
// `light` has the light of each of 256 levels, `levels` the level of each light from -32768 to
// 32767. `matrix` converts the colours of all levels, in light; it has nine numbers in parts of
// 2^14, of which the absolute ones of a row add up to less than 2, or is NULL. All three, and every
// `out`, must live as long as the ladder.
PUBLIC struct ladder *ladder_new(int width, int height, int bands, const struct step *steps,
                                 int count, const int16_t *light, const uint8_t *levels,
                                 const int16_t *matrix);

// Add the next rows of the original, 8 bits a sample. Return how many rows of the last level are
// finished, or -1, and nothing is added, if the original has fewer rows.
PUBLIC int ladder_push(struct ladder *ladder, const uint8_t *rows, int count);

PUBLIC void ladder_free(struct ladder *ladder);

// Choose the instructions for all ladders by name: scalar, sse2, avx2 or neon; the best ones are
// the default. Return 0, or -1 if this processor has none of that name.
PUBLIC int ladder_choose(const char *name);

// Compute one window, for tests: the weights of output `output`, and in `first` its first input.
// Return their number.
PUBLIC int ladder_window(int inputs, int outputs, int output, int *first, int16_t *weights);

#endif
