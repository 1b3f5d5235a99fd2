/* On a Cortex-M4F, a line for each floating-point mode: the mode, the self-test's code, and a window's score. Then what a model that the
 * machine cannot address is answered. The model is the test's own, and its window in the place of the stream. */

#include "port.h"
#include "vae.h"

#define FEATURES 4
#define SCRATCH 256

extern const uint8_t model_file[], model_file_end[];
extern const float stream[];

static float scratch[SCRATCH];
static vae_model model;


static void print_hex(uint32_t word) {
    char text[10] = " ";
    for (int digit = 0; digit < 8; digit++) {
        text[1 + digit] = "0123456789abcdef"[(word >> (28 - 4 * digit)) & 15];
    }
    text[9] = 0;
    port_write(text);
}

static void print_line(uint32_t first, uint32_t second, uint32_t third) {
    print_hex(first);
    print_hex(second);
    print_hex(third);
    port_write("\n");
}

/* A file of nothing but a prelude, with a checksum that is right. */
static vae_status sizes_of(uint32_t channels, uint32_t window, vae_sizes *sizes) {
    static uint32_t file[16];
    const uint32_t words[16] = {0x00454156, 1, 0, sizeof file, 1, 1, channels, window, 1, 96, 96, 2};
    for (int word = 0; word < 16; word++) {
        file[word] = words[word];
    }
    uint32_t crc = 0xFFFFFFFF;
    for (const uint8_t *byte = (const uint8_t *)(file + 3); byte < (const uint8_t *)(file + 16); byte++) {
        crc ^= *byte;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (crc & 1 ? 0xEDB88320 : 0);
        }
    }
    file[2] = ~crc;
    const vae_status status = vae_model_open(&model, (const uint8_t *)file, sizeof file);
    return status.code == VAE_OK ? vae_model_sizes(&model, sizes) : status;
}

int main(void) {
    /* As it is reset; default NaN; flush to zero; up, down, towards zero. */
    static const uint32_t modes[] = {0, 1u << 25, 1u << 24, 1u << 22, 2u << 22, 3u << 22};
    vae_status status = vae_model_open(&model, model_file, (size_t)(model_file_end - model_file));
    if (status.code != VAE_OK) {
        return 1;
    }
    for (size_t mode = 0; mode < sizeof modes / sizeof modes[0]; mode++) {
        const uint32_t before = __builtin_arm_get_fpscr();
        __builtin_arm_set_fpscr((before & ~(0xFu << 22)) | modes[mode]);
        status = vae_model_self_test(&model, scratch, sizeof scratch);
        vae_score score = {0, 0, 0, 0};
        vae_elbo_at_mean(&model, stream, FEATURES, scratch, sizeof scratch, &score);
        __builtin_arm_set_fpscr(before);
        union {
            float value;
            uint32_t bits;
        } elbo = {score.elbo};
        print_line(modes[mode], status.code, elbo.bits);
    }
    vae_sizes sizes = {0};
    /* 256 MiB of a window can be addressed; 4 GiB, which 32 bits count as nothing, cannot; nor can 2^32 floats. */
    static const uint32_t sides[][2] = {{1 << 13, 1 << 13}, {1 << 15, 1 << 15}, {1 << 16, 1 << 16}};
    for (size_t side = 0; side < 3; side++) {
        status = sizes_of(sides[side][0], sides[side][1], &sizes);
        print_line(sides[side][0], status.code, (uint32_t)sizes.window_bytes);
        sizes.window_bytes = 0;
    }
    return 0;
}
