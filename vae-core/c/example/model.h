/* The demo's model and a recorded stream, which the assembler takes from their files (model.S). A package whose compiler has no assembler for that
 * has arrays here, as `vae-train export --c-array` writes them. */
#ifndef MODEL_H
#define MODEL_H

#include <stddef.h>
#include <stdint.h>

#define CHANNELS 3

extern const uint8_t model_file[], model_file_end[];
extern const float stream[][CHANNELS], stream_end[][CHANNELS];

/* Bytes, and samples. */
#define MODEL_FILE_LEN ((size_t)(model_file_end - model_file))
#define STREAM_LEN ((size_t)(stream_end - stream))

#endif
