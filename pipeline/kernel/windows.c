// Lanczos3 windows in fixed point, without the floating point of the machine or its library.
#include <stdlib.h>

#include "kernel.h"

// 1 in fixed point: far finer than a weight, and no product below exceeds 2^60.
#define UNIT ((int64_t)1 << 28)
#define PI_THIRD_SQUARED ((int64_t)294372418) // (pi / 3)^2 in parts of UNIT, rounded

// Return sin(t) / t for y = t^2, up to t = pi, by Taylor's series: 1 - y/(2*3) (1 - y/(4*5) (...)).
// The first term left out is pi^20 / 21!, or 2^-32.4.
static int64_t sinc(int64_t y)
{
    int64_t sum = UNIT;
    for (int n = 18; n > 0; n -= 2)
        sum = UNIT - y * sum / UNIT / (n * (n + 1));
    return sum;
}

// Return Lanczos3 at the distance x = numerator / denominator, 0 from 3 on. A test holds that
// rounding adds up to less than 2^-25.
//
// It is sinc(pi x) sinc(pi x / 3). Let t = pi x / 3. As sin(3t) = 3 sin(t) - 4 sin(t)^3, that is
// q^2 (1 - 4/3 s^2) with q = sin(t) / t and s = sin(t) = q t. So one series is enough. The last
// factor is computed times 3, and divided by 3.
//
// Ranges: numerator * UNIT < 6 MOST_SIDE UNIT < 2^58, x * x < 2^60, the products for y and in
// `sinc` < 2^60, and the last one < 2^58.
static int64_t lanczos3(int64_t numerator, int64_t denominator)
{
    if (numerator >= LOBES * denominator)
        return 0;
    int64_t x = numerator * UNIT / denominator;
    int64_t y = x * x / UNIT * PI_THIRD_SQUARED / UNIT;
    int64_t q = sinc(y);
    int64_t q_squared = q * q / UNIT;
    int64_t s_squared = y * q_squared / UNIT;
    return q_squared * (3 * UNIT - 4 * s_squared) / (3 * UNIT);
}

// Return part / whole in parts of 2^WEIGHT_BITS, rounded. The quotient is between -0.29 and 1.29,
// as a test holds: 1 is added before the division and subtracted after it, because `/` rounds down
// only what is not negative. `whole` is about 8 UNIT at most, so the dividend stays below 2^47.
static int64_t rounded_share(int64_t part, int64_t whole)
{
    int64_t one = (int64_t)1 << WEIGHT_BITS;
    return (part * one + whole / 2 + whole * one) / whole - one;
}

// Return 2 * longer times the distance of an input from an output, in pixels of the smaller
// picture. `longer` is the larger one of `inputs` and `outputs`.
//
// The centres of input i and of output o are at (2i + 1) / (2 inputs) and (2o + 1) / (2 outputs) of
// the side. Between them are |(2i + 1) outputs - (2o + 1) inputs| / (2 longer) pixels of the
// smaller picture: all whole numbers.
static int64_t scaled_distance(int64_t input, int64_t output, int64_t inputs, int64_t outputs)
{
    return llabs((2 * input + 1) * outputs - (2 * output + 1) * inputs);
}

// Compute the weights of the inputs from `first` to before `end` in an output. They are differences
// of rounded partial sums: so they add up to exactly 1, however many there are. The weights of a
// window and of its mirror image may differ by one part of 2^WEIGHT_BITS for that.
static void fill_weights(int16_t *weights, int64_t first, int64_t end, int64_t output,
                         int64_t inputs, int64_t outputs)
{
    int64_t longer = inputs > outputs ? inputs : outputs;
    int64_t values[MOST_TAPS], whole = 0, part = 0, before = 0;
    for (int64_t i = first; i < end; i++) {
        values[i - first] = lanczos3(scaled_distance(i, output, inputs, outputs), 2 * longer);
        whole += values[i - first];
    }
    for (int64_t i = first; i < end; i++) {
        part += values[i - first];
        int64_t so_far = rounded_share(part, whole);
        weights[i - first] = (int16_t)(so_far - before);
        before = so_far;
    }
}

// Return the first input that is nearer to an output than three pixels of the smaller picture. If
// fewer than `taps` inputs follow, it is moved left until they do, or to 0: those more weigh 0.
static int64_t first_input(int64_t output, int64_t inputs, int64_t outputs, int64_t taps)
{
    int64_t longer = inputs > outputs ? inputs : outputs;
    int64_t edge = (2 * output + 1) * inputs - 2 * LOBES * longer - outputs;
    int64_t first = edge < 0 ? 0 : edge / (2 * outputs) + 1;
    if (first > inputs - taps)
        first = inputs - taps;
    return first < 0 ? 0 : first;
}

int windows_make(struct windows *windows, int inputs, int outputs)
{
    int64_t longer = inputs > outputs ? inputs : outputs;
    int64_t taps = (2 * LOBES * longer + outputs - 1) / outputs;
    taps += taps % 2;
    if (taps > MOST_TAPS)
        return -1;
    windows->outputs = outputs;
    windows->taps = (int)taps;
    windows->stride = (int)padded(taps, TAPS_BLOCK);
    size_t places = (size_t)padded(outputs, OUTPUTS_BLOCK);
    windows->first = calloc(places, sizeof *windows->first);
    windows->weights = calloc(places * (size_t)windows->stride, sizeof *windows->weights);
    if (!windows->first || !windows->weights)
        return -1;
    for (int o = 0; o < outputs; o++) {
        int64_t first = first_input(o, inputs, outputs, taps);
        int64_t end = first + taps < inputs ? first + taps : inputs;
        windows->first[o] = (int)first;
        fill_weights(windows->weights + (int64_t)o * windows->stride, first, end, o, inputs,
                     outputs);
    }
    return 0;
}

void windows_free(struct windows *windows)
{
    free(windows->first);
    free(windows->weights);
}
