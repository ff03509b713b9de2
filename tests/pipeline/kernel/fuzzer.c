// Fuzzes the library with libFuzzer: the input chooses the numbers of a ladder, in range or not,
// and the pixels. Every kind of instruction must refuse the same ladders and compute the same
// bytes as the scalar one; sanitizers see every access.
#include "ladder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_INPUT_RUNGS 6
#define MOST_INPUT_PIXELS (1 << 16)
#define STRIP_LINES 8

struct input {
    const uint8_t *bytes;
    size_t left;
};

struct job {
    int width, height, bands, count, is_converted;
    struct rung rungs[MOST_INPUT_RUNGS];
    size_t sizes[MOST_INPUT_RUNGS];
};

static int16_t light_of_level[256];
static uint8_t level_of_light[65536];
static const int16_t matrix[9] = {20000, -3000, -616, -700, 17000, 84, 10, -300, 16674};

// Return the next 16 bits, of which most values are small sides, or 0 after the end.
static int number(struct input *input)
{
    if (input->left < 2)
        return 0;
    int found = input->bytes[0] | input->bytes[1] << 8;
    input->bytes += 2;
    input->left -= 2;
    return found >= 0xff00 ? found - 0x10000 : found;
}

static int64_t product(int width, int height)
{
    return (int64_t)(width > 0 ? width : 0) * (height > 0 ? height : 0);
}

// Return whether the input describes a job without pictures that would only take time.
static int describe(struct job *job, struct input *input)
{
    job->width = number(input);
    job->height = number(input);
    job->bands = number(input) % 5;
    job->count = number(input) % (MOST_INPUT_RUNGS + 1);
    job->is_converted = number(input) % 2;
    for (int i = 0; i < job->count; i++) {
        struct rung *rung = &job->rungs[i];
        rung->width = number(input);
        rung->height = number(input);
        rung->source = number(input) % MOST_INPUT_RUNGS - 1;
        if (product(rung->width, rung->height) > MOST_INPUT_PIXELS)
            return 0;
        int bands = job->bands > 0 ? job->bands : 0;
        job->sizes[i] = (size_t)product(rung->width, rung->height) * (size_t)bands;
    }
    return product(job->width, job->height) <= MOST_INPUT_PIXELS;
}

// Push all rows in strips of exactly their size, filled with the rest of the input by turns.
static void push_all(struct ladder *ladder, const struct job *job, struct input input)
{
    size_t row = (size_t)job->width * job->bands, at = 0;
    for (int y = 0; y < job->height; y += STRIP_LINES) {
        int lines = job->height - y < STRIP_LINES ? job->height - y : STRIP_LINES;
        uint8_t *strip = malloc(row * lines);
        for (size_t i = 0; i < row * lines; i++, at++)
            strip[i] = input.left ? input.bytes[at % input.left] : 0;
        if (ladder_push(ladder, strip, lines) < 0)
            abort();
        free(strip);
    }
    uint8_t *more = calloc(row, 1);
    if (ladder_push(ladder, more, 1) >= 0)
        abort(); // one row too many
    free(more);
}

// Reduce with these instructions into new memory; return whether the ladder was taken.
static int reduce(struct job *job, struct input input, const char *instructions)
{
    if (ladder_choose(instructions))
        return -1;
    for (int i = 0; i < job->count; i++)
        job->rungs[i].out = job->sizes[i] ? calloc(job->sizes[i], 1) : NULL;
    struct ladder *ladder =
        ladder_new(job->width, job->height, job->bands, job->rungs, job->count, light_of_level,
                   level_of_light, job->is_converted ? matrix : NULL);
    if (ladder)
        push_all(ladder, job, input);
    ladder_free(ladder);
    return ladder != NULL;
}

int LLVMFuzzerInitialize(int *count, char ***words)
{
    (void)count, (void)words;
    for (int level = 0; level < 256; level++)
        light_of_level[level] = (int16_t)(level * 20000 / 255);
    for (int light = -32768; light < 32768; light++) {
        int level = light < 0 ? 0 : light * 255 / 20000;
        level_of_light[light + 32768] = (uint8_t)(level > 255 ? 255 : level);
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static const char *const faster[] = {"sse2", "avx2", "neon"};
    struct input input = {bytes, count};
    struct job scalar = {0};
    if (!describe(&scalar, &input))
        return 0;
    int is_taken = reduce(&scalar, input, "scalar");
    for (size_t k = 0; k < sizeof faster / sizeof *faster; k++) {
        struct job job = scalar;
        int is_also_taken = reduce(&job, input, faster[k]);
        if (is_also_taken < 0)
            continue; // this processor has no such instructions
        if (is_also_taken != is_taken)
            abort();
        for (int i = 0; i < job.count; i++) {
            if (job.sizes[i] && memcmp(job.rungs[i].out, scalar.rungs[i].out, job.sizes[i]))
                abort();
            free(job.rungs[i].out);
        }
    }
    for (int i = 0; i < scalar.count; i++)
        free(scalar.rungs[i].out);
    return 0;
}
