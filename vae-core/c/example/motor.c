/* Watches a motor: the model of the demo judges a recorded stream, on the desktop and on a Cortex-M4F alike. Scores are printed as the bits
 * of the floats, so that the two can be compared. */
#include "vae.h"

#include "model.h"
#include "port.h"

/* Floats, and the snapshot's bytes: `vae-train info motor.vae` prints bytes; a model that needs more is refused with the number in the status. */
#define SCRATCH 216
#define WINDOW 192
#define STATE 42
#define SNAPSHOT 256

static float scratch[SCRATCH], window[WINDOW], state[STATE];
static uint8_t snapshot[SNAPSHOT];
static vae_model model;
static vae_detector detector;

static void print_hex(const char *name, uint32_t word) {
    char text[10] = " ";
    for (int digit = 0; digit < 8; digit++) {
        text[1 + digit] = "0123456789abcdef"[(word >> (28 - 4 * digit)) & 15];
    }
    text[9] = 0;
    port_write(name);
    port_write(text);
}

static void print_float(const char *name, float value) {
    const union {
        float value;
        uint32_t bits;
    } number = {value};
    print_hex(name, number.bits);
}

static int failed(const char *what, vae_status status) {
    if (status.code == VAE_OK) {
        return 0;
    }
    port_write(what);
    port_write(": ");
    port_write(vae_message(status.code));
    print_hex("; needed", status.needed);
    print_hex(", found", status.found);
    port_write("\n");
    return 1;
}

static void print_verdict(const vae_verdict *verdict) {
    switch (verdict->kind) {
    case VAE_NORMAL:
        print_float("normal, score", verdict->score);
        print_float(", p", verdict->p_value);
        break;
    case VAE_ANOMALOUS:
        print_float("ANOMALOUS, score", verdict->score);
        print_float(", p", verdict->p_value);
        print_hex(", channel", verdict->channel);
        print_float(" costs", verdict->channel_nats);
        print_hex(", feature", verdict->feature);
        print_float(" costs", verdict->feature_nats);
        break;
    case VAE_SENSOR_FAULT:
        print_hex("SENSOR FAULT, channel", verdict->channel);
        print_hex(", fault", verdict->fault);
        break;
    case VAE_DRIFTING:
        print_float("drifting, score", verdict->score);
        print_float(", p", verdict->p_value);
        print_hex(", what", verdict->drift);
        print_hex(", channel", verdict->channel);
        print_float(" by", verdict->drift_value);
        break;
    default:
        return; /* No window is complete. */
    }
    port_write("\n");
}

static int start(void) {
    const vae_settings settings = {
        .scratch = scratch,
        .scratch_bytes = sizeof scratch,
        .window = window,
        .window_bytes = sizeof window,
        .state = state,
        .state_bytes = sizeof state,
        .alarms_per_day = 1.0f,
    };
    return failed("detector", vae_detector_init(&detector, &model, &settings));
}

int motor(void) {
    if (failed("model", vae_model_open(&model, model_file, MODEL_FILE_LEN)) ||
        failed("self-test", vae_model_self_test(&model, scratch, sizeof scratch)) || start()) {
        return 1;
    }
    const size_t samples = STREAM_LEN, half = samples / 2;
    vae_verdict verdict;

    /* The simple way: a sample at a time. */
    for (size_t sample = 0; sample < half; sample++) {
        if (failed("push", vae_detector_push(&detector, stream[sample], CHANNELS, &verdict))) {
            return 1;
        }
        print_verdict(&verdict);
    }

    /* The power fails; what the detector had learnt was stored before. */
    if (failed("snapshot", vae_detector_snapshot(&detector, snapshot, SNAPSHOT)) || start() ||
        failed("restore", vae_detector_restore(&detector, snapshot, SNAPSHOT))) {
        return 1;
    }
    port_write("restored\n");

    /* A layer at a time, with room for other work between. */
    for (size_t sample = half; sample < samples; sample++) {
        bool complete;
        if (failed("feed", vae_detector_feed(&detector, stream[sample], CHANNELS, &complete))) {
            return 1;
        }
        if (!complete) {
            continue;
        }
        do {
            if (failed("step", vae_detector_step(&detector, &verdict))) {
                return 1;
            }
        } while (verdict.kind == VAE_PENDING);
        print_verdict(&verdict);
    }

    /* A score without a detector, and what it costs. */
    vae_score score;
    const uint32_t begin = port_ticks();
    for (int run = 0; run < 10; run++) {
        if (failed("score", vae_elbo_at_mean(&model, stream[0], WINDOW, scratch, sizeof scratch, &score))) {
            return 1;
        }
    }
    const uint32_t ticks = port_ticks() - begin;
    print_float("score", score.elbo);
    print_float(", reconstruction", score.reconstruction);
    print_float(", kl", score.kl);
    print_hex("\nticks for 10 scores:", ticks);
    port_write("\n");
    return 0;
}
