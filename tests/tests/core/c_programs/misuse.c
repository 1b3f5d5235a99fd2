/* What C can do wrong is answered by a code, with its numbers. Prints each call that is not. */
#include <fenv.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

#include "vae.h"

extern const uint8_t model_file[], model_file_end[];

#define CHANNELS 3

static int broken;

static void expect(int line, vae_status status, vae_code code, uint32_t needed, uint32_t found) {
    if (status.code != code || status.needed != needed || status.found != found) {
        printf("line %d: code %u (%s), needed %u, found %u\n", line, (unsigned)status.code, vae_message(status.code),
               (unsigned)status.needed, (unsigned)status.found);
        broken = 1;
    }
}
#define EXPECT(call, code, needed, found) expect(__LINE__, call, code, needed, found)

static void *exactly(size_t bytes) {
    void *memory = malloc(bytes);
    if (memory == NULL) {
        exit(2);
    }
    return memory;
}

int main(void) {
    const uint32_t len = (uint32_t)(model_file_end - model_file);
    static vae_model model, other;
    static vae_detector detector, copy;
    vae_sizes sizes;
    vae_verdict verdict;
    vae_score score;
    bool complete = false;

    EXPECT(vae_model_sizes(&model, &sizes), VAE_NOT_MADE, 0, 0);
    EXPECT(vae_model_open(NULL, model_file, len), VAE_NULL, 0, 0);
    EXPECT(vae_model_open(&model, NULL, len), VAE_NULL, 0, 0);
    EXPECT(vae_model_open(&model, model_file, SIZE_MAX), VAE_LENGTH, UINT32_MAX, UINT32_MAX);
    EXPECT(vae_model_open(&model, model_file + 1, len - 1), VAE_FILE_UNALIGNED, 0, 0);
    EXPECT(vae_model_open(&model, model_file, len - 1), VAE_FILE_TRUNCATED, len, len - 1);
    EXPECT(vae_model_open(&model, model_file, 0), VAE_FILE_TRUNCATED, 64, 0);
    uint8_t *file = exactly(len + 1);
    memcpy(file, model_file, len);
    EXPECT(vae_model_open(&model, file, len + 1), VAE_FILE_TOO_LONG, len, len + 1);
    file[4] = 9;
    EXPECT(vae_model_open(&model, file, len), VAE_FORMAT_VERSION, vae_format_version(), 9);
    file[0] = 0;
    EXPECT(vae_model_open(&model, file, len), VAE_NOT_A_MODEL, 0, 0);
    memcpy(file, model_file, len);
    file[len / 2] ^= 1;
    const vae_status damaged = vae_model_open(&model, file, len);
    uint32_t stored;
    memcpy(&stored, file + 8, 4);
    EXPECT(damaged, VAE_FILE_DAMAGED, stored, damaged.found);
    EXPECT(vae_model_sizes(&model, &sizes), VAE_NOT_MADE, 0, 0);
    EXPECT(vae_model_open((vae_model *)((uint8_t *)&model + 1), model_file, len), VAE_UNALIGNED, sizeof(void *), 1);
    EXPECT(vae_model_open(&model, model_file, len), VAE_OK, 0, 0);
    EXPECT(vae_model_open(&other, file, len), VAE_FILE_DAMAGED, stored, damaged.found);
    EXPECT(vae_model_sizes(&model, NULL), VAE_NULL, 0, 0);
    EXPECT(vae_model_sizes(&model, &sizes), VAE_OK, 0, 0);
    if (sizes.channels != CHANNELS || sizes.fingerprint != stored || sizes.features != 192) {
        puts("wrong sizes");
        return 1;
    }

    const uint32_t scratch_bytes = (uint32_t)sizes.scratch_bytes, window_bytes = (uint32_t)sizes.window_bytes,
                   state_bytes = (uint32_t)sizes.state_bytes, snapshot_len = (uint32_t)sizes.snapshot_bytes,
                   window_len = sizes.features;
    float *scratch = exactly(scratch_bytes), *window = exactly(window_bytes), *state = exactly(state_bytes);
    float *x = exactly(window_bytes);
    float *const unaligned = (float *)((uint8_t *)scratch + 2);
    /* A part of a float is none. */
    EXPECT(vae_model_self_test(&model, scratch, scratch_bytes - 1), VAE_SCRATCH_TOO_SMALL, scratch_bytes, scratch_bytes - 4);
    EXPECT(vae_model_self_test(&model, scratch, scratch_bytes - 4), VAE_SCRATCH_TOO_SMALL, scratch_bytes, scratch_bytes - 4);
    EXPECT(vae_model_self_test(&model, scratch, SIZE_MAX), VAE_LENGTH, UINT32_MAX, UINT32_MAX);
    EXPECT(vae_model_self_test(&model, unaligned, scratch_bytes - 4), VAE_UNALIGNED, 4, 2);
    EXPECT(vae_model_self_test(&model, NULL, scratch_bytes), VAE_NULL, 0, 0);
    EXPECT(vae_model_self_test(&model, scratch, scratch_bytes), VAE_OK, 0, 0);

    static const int roundings[] = {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    for (int i = 0; i < 3; i++) {
        fesetround(roundings[i]);
        EXPECT(vae_model_self_test(&model, scratch, scratch_bytes), VAE_ROUNDING, 0, 0);
    }
    fesetround(FE_TONEAREST);
#ifdef __SSE__
    /* MXCSR's FTZ, which flushes results, DAZ, which flushes operands, and both, as -ffast-math sets them. */
    static const unsigned flushes[] = {1u << 15, 1u << 6, 1u << 15 | 1u << 6};
    const unsigned mode = _mm_getcsr();
    for (int i = 0; i < 3; i++) {
        _mm_setcsr(mode | flushes[i]);
        EXPECT(vae_model_self_test(&model, scratch, scratch_bytes), VAE_FLUSHES_TO_ZERO, 0, 0);
    }
    _mm_setcsr(mode);
#endif
    EXPECT(vae_model_self_test(&model, scratch, scratch_bytes), VAE_OK, 0, 0);

    for (uint32_t i = 0; i < window_len; i++) {
        x[i] = 0.0f;
    }
    EXPECT(vae_elbo_at_mean(&model, x, window_len - 1, scratch, scratch_bytes, &score), VAE_LENGTH, window_len,
           window_len - 1);
    EXPECT(vae_elbo_at_mean(&model, x, window_len, scratch, scratch_bytes, NULL), VAE_NULL, 0, 0);
    x[7] = INFINITY;
    EXPECT(vae_elbo_at_mean(&model, x, window_len, scratch, scratch_bytes, &score), VAE_INFINITE, 0, 7);
    x[7] = NAN;
    EXPECT(vae_elbo_at_mean(&model, x, window_len, scratch, scratch_bytes, &score), VAE_OK, 0, 0);
    if (score.missing != 1 || !isfinite(score.elbo)) {
        puts("a value that was not observed is not left out");
        broken = 1;
    }

    const vae_settings good = {.scratch = scratch, .scratch_bytes = scratch_bytes, .window = window,
                               .window_bytes = window_bytes, .state = state, .state_bytes = state_bytes};
    vae_settings bad = good;
    EXPECT(vae_detector_gap(&detector), VAE_NOT_MADE, 0, 0);
    EXPECT(vae_detector_acknowledge(&detector), VAE_NOT_MADE, 0, 0);
    EXPECT(vae_detector_lock(NULL), VAE_NULL, 0, 0);
    EXPECT(vae_detector_forget(&detector), VAE_NOT_MADE, 0, 0);
    EXPECT(vae_detector_init(&detector, &other, &good), VAE_NOT_MADE, 0, 0);
    EXPECT(vae_detector_init(&detector, &model, NULL), VAE_NULL, 0, 0);
    EXPECT(vae_detector_init(NULL, &model, &good), VAE_NULL, 0, 0);
    bad.window = NULL;
    EXPECT(vae_detector_init(&detector, &model, &bad), VAE_NULL, 0, 0);
    bad = good, bad.scratch = unaligned;
    EXPECT(vae_detector_init(&detector, &model, &bad), VAE_UNALIGNED, 4, 2);
    bad = good, bad.window_bytes--;
    EXPECT(vae_detector_init(&detector, &model, &bad), VAE_WINDOW_TOO_SMALL, window_bytes, window_bytes - 4);
    bad = good, bad.state_bytes--;
    EXPECT(vae_detector_init(&detector, &model, &bad), VAE_STATE_TOO_SMALL, state_bytes, state_bytes - 4);
    bad = good, bad.scratch_bytes--;
    EXPECT(vae_detector_init(&detector, &model, &bad), VAE_SCRATCH_TOO_SMALL, scratch_bytes, scratch_bytes - 4);
    bad = good, bad.votes_needed = 4, bad.votes_of = 2;
    EXPECT(vae_detector_init(&detector, &model, &bad), VAE_VOTES, 4, 2);
    bad = good, bad.sample_rate = 10.0f;
    const vae_status rate = vae_detector_init(&detector, &model, &bad);
    EXPECT(rate, VAE_SAMPLE_RATE, 0, 0);
    if (rate.needed_value != 1600.0f || rate.found_value != 10.0f) {
        puts("the rates are not told");
        broken = 1;
    }
    EXPECT(vae_detector_gap(&detector), VAE_NOT_MADE, 0, 0);

    EXPECT(vae_detector_init(&detector, &model, &good), VAE_OK, 0, 0);
    copy = detector;
    EXPECT(vae_detector_gap(&copy), VAE_NOT_MADE, 0, 0);
    EXPECT(vae_detector_push(&detector, x, 2, &verdict), VAE_LENGTH, 3, 2);
    EXPECT(vae_detector_push(&detector, NULL, 3, &verdict), VAE_NULL, 0, 0);
    EXPECT(vae_detector_push(&detector, x, 3, NULL), VAE_NULL, 0, 0);
    EXPECT(vae_detector_given(&detector, x, 3), VAE_CONDITION_LENGTH, 0, 3);
    EXPECT(vae_detector_step(&detector, &verdict), VAE_OK, 0, 0);
    if (verdict.kind != VAE_NONE) {
        puts("a verdict on nothing");
        broken = 1;
    }
    uint32_t samples = 0;
    while (!complete) {
        const float sample[CHANNELS] = {(float)(samples % 7), (float)(samples % 5), (float)(samples % 3)};
        EXPECT(vae_detector_feed(&detector, sample, CHANNELS, &complete), VAE_OK, 0, 0);
        samples++;
    }
    if (samples != sizes.window) {
        puts("the refused samples were taken");
        broken = 1;
    }
    EXPECT(vae_detector_feed(&detector, x, CHANNELS, &complete), VAE_BUSY, 0, 0);
    EXPECT(vae_detector_gap(&detector), VAE_OK, 0, 0);

    uint8_t *record = exactly(snapshot_len);
    EXPECT(vae_detector_snapshot(&detector, record, snapshot_len - 1), VAE_SNAPSHOT_LENGTH, snapshot_len,
           snapshot_len - 1);
    EXPECT(vae_detector_snapshot(&detector, record, snapshot_len), VAE_OK, 0, 0);
    EXPECT(vae_detector_restore(&detector, record, snapshot_len - 1), VAE_SNAPSHOT_LENGTH, snapshot_len,
           snapshot_len - 1);
    EXPECT(vae_detector_restore(&detector, record, snapshot_len), VAE_OK, 0, 0);
    record[100] ^= 1;
    EXPECT(vae_detector_restore(&detector, record, snapshot_len), VAE_SNAPSHOT_DAMAGED, 0, 0);
    record[4] ^= 1;
    EXPECT(vae_detector_restore(&detector, record, snapshot_len), VAE_OTHER_MODEL, stored, stored ^ 1);
    record[4] ^= 1, record[3] ^= 64;
    EXPECT(vae_detector_restore(&detector, record, snapshot_len), VAE_SNAPSHOT_VERSION, record[3] ^ 64, record[3]);
    record[3] ^= 64, record[100] ^= 1;
    const vae_status few = vae_detector_rebaseline(&detector, 1);
    EXPECT(few, VAE_SHORT_BASELINE, few.needed, 1);
    EXPECT(vae_detector_rebaseline(&detector, few.needed), VAE_OK, 0, 0);
    EXPECT(vae_detector_forget(&detector), VAE_OK, 0, 0);
    /* Unlike any motor. */
    for (verdict.kind = VAE_NONE, samples = 0; verdict.kind != VAE_ANOMALOUS && samples < 100000; samples++) {
        const float sample[CHANNELS] = {(float)(samples % 7), (float)(samples % 5), (float)(samples % 3)};
        EXPECT(vae_detector_push(&detector, sample, CHANNELS, &verdict), VAE_OK, 0, 0);
    }
    EXPECT(vae_detector_rebaseline(&detector, few.needed), VAE_ALARMED, 0, 0);
    EXPECT(vae_detector_acknowledge(&detector), VAE_OK, 0, 0);
    EXPECT(vae_detector_rebaseline(&detector, few.needed), VAE_OK, 0, 0);
    EXPECT(vae_detector_lock(&detector), VAE_OK, 0, 0);
    EXPECT(vae_detector_rebaseline(&detector, few.needed), VAE_LOCKED, 0, 0);
    EXPECT(vae_detector_forget(&detector), VAE_LOCKED, 0, 0);
    EXPECT(vae_detector_restore(&detector, record, snapshot_len), VAE_LOCKED, 0, 0);

    free(file), free(scratch), free(window), free(state), free(x), free(record);
    return broken;
}
