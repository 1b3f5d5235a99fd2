/* The C interface of vae-core. Generated from vae-core/c/src by cbindgen: change it there. See README.md. */

#ifndef VAE_H
#define VAE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if UINTPTR_MAX == UINT32_MAX
#define VAE_POINTERS_OF_32_BITS
#endif

// Words of a vae_model.
#define VAE_MODEL_WORDS 20

#if defined(VAE_POINTERS_OF_32_BITS)
// Words of 64 bits of a vae_detector.
#define VAE_DETECTOR_WORDS 72
#endif

#if !defined(VAE_POINTERS_OF_32_BITS)
// Words of 64 bits of a vae_detector.
#define VAE_DETECTOR_WORDS 88
#endif

// How a call ended. Numbers are never given a new meaning.
enum vae_code
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // Done.
    VAE_OK = 0,
    // A pointer is null.
    VAE_NULL = 1,
    // A pointer is not aligned for what it points to; found is what its address is beyond the last aligned one.
    VAE_UNALIGNED = 2,
    // The object was not made, or its making failed, or (a detector) it was copied or moved.
    VAE_NOT_MADE = 3,
    // A vector has found values where needed are.
    VAE_LENGTH = 4,
    // The file has found bytes and should have needed.
    VAE_FILE_TRUNCATED = 10,
    // The file is no model.
    VAE_NOT_A_MODEL = 11,
    // The file has format version found; this library reads up to needed.
    VAE_FORMAT_VERSION = 12,
    // The file has found bytes and should have needed.
    VAE_FILE_TOO_LONG = 13,
    // The file's checksum is found where it says needed.
    VAE_FILE_DAMAGED = 14,
    // The file's address is not divisible by four.
    VAE_FILE_UNALIGNED = 15,
    // The file's body is malformed, found bytes before its end.
    VAE_FILE_MALFORMED = 16,
    // A size in the file is found where needed is.
    VAE_FILE_SHAPE = 17,
    // The file holds a constant that is not finite or out of range.
    VAE_FILE_VALUE = 18,
    // Golden vector found scores found_value where the desktop had needed_value.
    VAE_SELF_TEST = 19,
    // The processor flushes subnormal numbers to zero: clear FZ in FPSCR and FPDSCR (x86: FTZ and DAZ, which -ffast-math sets).
    VAE_FLUSHES_TO_ZERO = 20,
    // The processor does not round to nearest: clear RMode in FPSCR and FPDSCR (or fesetround(FE_TONEAREST)).
    VAE_ROUNDING = 21,
    // The model needs found bytes or more, and the machine can address needed.
    VAE_TOO_LARGE = 22,
    // The scratch has found bytes of needed.
    VAE_SCRATCH_TOO_SMALL = 30,
    // Feature found is infinite.
    VAE_INFINITE = 31,
    // Feature found is found_value, outside 0 to 1.
    VAE_OUTSIDE_UNIT_INTERVAL = 32,
    // An intermediate value exceeds the range of float.
    VAE_OVERFLOW = 33,
    // The condition has found values of needed.
    VAE_CONDITION_LENGTH = 34,
    // Value found of the condition is missing or not finite.
    VAE_CONDITION_VALUE = 35,
    // The model asks for something that this library was built without.
    VAE_UNSUPPORTED = 36,
    // The state has found bytes of needed.
    VAE_STATE_TOO_SMALL = 50,
    // The model is not calibrated.
    VAE_NOT_CALIBRATED = 51,
    // needed votes of found windows are impossible.
    VAE_VOTES = 52,
    // Samples come at found_value Hz and the model was trained at needed_value.
    VAE_SAMPLE_RATE = 53,
    // Nobody said how many samples come each second.
    VAE_NO_SAMPLE_RATE = 54,
    // A window is still being judged.
    VAE_BUSY = 55,
    // A new baseline of found windows where needed are the fewest.
    VAE_SHORT_BASELINE = 56,
    // A snapshot has found bytes of needed.
    VAE_SNAPSHOT_LENGTH = 57,
    // A snapshot is damaged.
    VAE_SNAPSHOT_DAMAGED = 58,
    // A snapshot is of model found where this is model needed.
    VAE_OTHER_MODEL = 59,
    // An alarm is raised, and no baseline is made of a machine that is not healthy.
    VAE_ALARMED = 60,
    // vae_detector_lock was called.
    VAE_LOCKED = 61,
    // A snapshot is of layout found; this library reads layout needed.
    VAE_SNAPSHOT_VERSION = 62,
    // The window's buffer has found bytes of needed.
    VAE_WINDOW_TOO_SMALL = 63,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum vae_code vae_code;
#else
typedef uint32_t vae_code;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What a detector says about a window.
enum vae_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // No window is complete, or a new baseline is being made.
    VAE_NONE = 0,
    // Of vae_detector_step alone: there is more to do for the window.
    VAE_PENDING = 1,
    // No alarm. The window by itself may still be unlikely: one vote of several.
    VAE_NORMAL = 2,
    // The alarm is raised: the machine behaves unlike itself.
    VAE_ANOMALOUS = 3,
    // A sensor of the window is not to be believed; the window was not judged.
    VAE_SENSOR_FAULT = 4,
    // No alarm, but the inputs or their scores have moved slowly away from what they were in the calibration.
    VAE_DRIFTING = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum vae_kind vae_kind;
#else
typedef uint32_t vae_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What is wrong with a sensor.
enum vae_sensor_fault
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // Nothing.
    VAE_NO_FAULT = 0,
    // It gave no value (NaN) for longer than it did in normal data.
    VAE_MISSING = 1,
    // It repeats one value for longer than it did in normal data.
    VAE_STUCK = 2,
    // It stays at an end of its range.
    VAE_SATURATED = 3,
    // It gave a value outside its range, or an infinite one.
    VAE_OUT_OF_RANGE = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum vae_sensor_fault vae_sensor_fault;
#else
typedef uint32_t vae_sensor_fault;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What has moved slowly.
enum vae_drift
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    // Nothing.
    VAE_NO_DRIFT = 0,
    // The scores: drift_value is by how many nats they are lower.
    VAE_DRIFT_SCORE = 1,
    // The channel's mean: drift_value is by how much, in its unit.
    VAE_DRIFT_MEAN = 2,
    // The channel's power: drift_value is by which factor.
    VAE_DRIFT_POWER = 3,
    // The spread of the scores: drift_value is by which factor.
    VAE_DRIFT_SPREAD = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum vae_drift vae_drift;
#else
typedef uint32_t vae_drift;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// How a call ended, with the numbers that its code speaks of; the others are 0.
typedef struct {
    // VAE_OK, or what went wrong.
    vae_code code;
    // What was needed.
    uint32_t needed;
    // What was found.
    uint32_t found;
    // What was needed, where it is no integer.
    float needed_value;
    // What was found, where it is no integer.
    float found_value;
} vae_status;

// A model that was opened. The file stays where it is, and is read there: it must outlive the model and must not change. May be
// copied, and used from several threads at once.
typedef struct {
    size_t opaque[VAE_MODEL_WORDS];
} vae_model;

// What a model is, and how much memory it needs.
typedef struct {
    // Values that the model sees of a window.
    uint32_t features;
    // Values in a sample.
    uint32_t channels;
    // Samples in a window.
    uint32_t window;
    // Samples between the starts of successive windows.
    uint32_t hop;
    // Values of the condition of a conditional model; 0 for others.
    uint32_t conditions;
    // Bytes of scratch.
    size_t scratch_bytes;
    // Bytes for a detector's window.
    size_t window_bytes;
    // Bytes for a detector's state.
    size_t state_bytes;
    // Bytes of a snapshot.
    size_t snapshot_bytes;
    // What tells this model from others: the file's checksum.
    uint32_t fingerprint;
} vae_sizes;

// A window's score, in nats of densities in the units of the input.
typedef struct {
    // The evidence lower bound, reconstruction - kl: the lower, the less the window is like the training data.
    float elbo;
    // The log-likelihood at the posterior's mean.
    float reconstruction;
    // The divergence of the posterior from the prior.
    float kl;
    // Features that were not observed (NaN) and are left out.
    uint32_t missing;
} vae_score;

// A detector: all that it needs beside the buffers of its settings. Must not be copied or moved once it is made, nor used by two
// threads at once. One that is all zeros is known not to be made yet.
typedef struct {
    uint64_t opaque[VAE_DETECTOR_WORDS];
} vae_detector;

// How a detector works, and in which memory. Zeros stand for what the model's calibration says.
//
// The three buffers must outlive the detector, must not overlap, and belong to it alone, but for the scratch, which detectors and
// scores may share that never work at the same time (a window that is judged by vae_detector_step is work until it is done).
typedef struct {
    // At least the scratch_bytes of the sizes.
    float *scratch;
    // Bytes that there are, as sizeof says.
    size_t scratch_bytes;
    // At least the window_bytes of the sizes.
    float *window;
    // Bytes that there are.
    size_t window_bytes;
    // At least the state_bytes of the sizes.
    float *state;
    // Bytes that there are.
    size_t state_bytes;
    // False alarms a day that are borne; 0 for the threshold of the calibration.
    float alarms_per_day;
    // Samples a second; 0 for what the model says.
    float sample_rate;
    // Votes that raise an alarm; 0 for what the model says.
    uint32_t votes_needed;
    // Of so many windows, at most 32.
    uint32_t votes_of;
} vae_settings;

// What a detector says. Fields that the kind does not speak of are 0.
typedef struct {
    // What the fields below mean.
    vae_kind kind;
    // VAE_NORMAL, VAE_ANOMALOUS, VAE_DRIFTING: the window's score, in nats.
    float score;
    // VAE_NORMAL, VAE_ANOMALOUS, VAE_DRIFTING: the chance that a normal window scores as low or lower.
    float p_value;
    // VAE_NORMAL, VAE_ANOMALOUS, VAE_DRIFTING: the number of features that were not observed.
    uint32_t missing;
    // VAE_ANOMALOUS: the channel that is most to blame. VAE_SENSOR_FAULT: the sensor's. VAE_DRIFT_MEAN, VAE_DRIFT_POWER: what drifts.
    uint32_t channel;
    // VAE_ANOMALOUS: the nats that the channel costs above those of an ordinary window.
    float channel_nats;
    // VAE_ANOMALOUS: the feature that costs most.
    uint32_t feature;
    // VAE_ANOMALOUS: the nats that it costs; about 1/2 for an ordinary one.
    float feature_nats;
    // VAE_SENSOR_FAULT: what is wrong with the sensor.
    vae_sensor_fault fault;
    // VAE_DRIFTING: what has moved.
    vae_drift drift;
    // VAE_DRIFTING: how far.
    float drift_value;
} vae_verdict;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The release of this library, as "0.1.0".
const char *vae_version(void);

// The newest version of the model file that this library reads.
uint32_t vae_format_version(void);

// What a code means and what to do, in English.
const char *vae_message(uint32_t code);

// Opens a model file that lies in memory, in flash for example, at an address divisible by four; checks its prelude, its length and its
// checksum. vae_model_self_test checks the rest.
//
// # Safety
// `model` is null or points to a vae_model; `file` is null or points to `len` bytes, which do not change for as long as the model, or a
// detector with it, is used.
vae_status vae_model_open(vae_model *model,
                          const uint8_t *file,
                          size_t len);

// What the model needs; VAE_TOO_LARGE where the machine cannot address so many bytes.
//
// # Safety
// `model` is null or points to a vae_model, `sizes` is null or points to memory for it.
vae_status vae_model_sizes(const vae_model *model, vae_sizes *sizes);

// Checks how the processor rounds and the whole file, then scores its golden vectors and compares with the desktop's bits. To be called at
// boot, by the task or interrupt that scores: each has a floating-point mode of its own.
//
// # Safety
// `model` is null or points to a vae_model; `scratch` is null or points to `scratch_bytes` bytes that nobody else uses meanwhile.
vae_status vae_model_self_test(const vae_model *model,
                               float *scratch,
                               size_t scratch_bytes);

// Scores a window (`len` features in physical units, sample after sample; NaN: not observed) at the posterior's mean. Needs no detector
// and no calibration.
//
// # Safety
// `model` is null or points to a vae_model; `window` is null or points to `len` floats; `scratch` is null or points to `scratch_bytes`
// bytes that nobody else uses meanwhile; `score` is null or points to memory for it. None of these overlap.
vae_status vae_elbo_at_mean(const vae_model *model,
                            const float *window,
                            size_t len,
                            float *scratch,
                            size_t scratch_bytes,
                            vae_score *score);

// Makes a detector that has seen nothing yet. If it fails there is no detector: every other function then answers VAE_NOT_MADE.
//
// # Safety
// `detector` is null or points to memory for it; `model` is null or points to a vae_model (which is copied; its file is not); `settings`
// is null or points to settings whose pointers are null or point to as many bytes as is said, which nobody else uses for as long as the
// detector is used.
vae_status vae_detector_init(vae_detector *detector,
                             const vae_model *model,
                             const vae_settings *settings);

// Gives the condition of a conditional model for the windows from now on, in physical units; until then no window is judged.
//
// # Safety
// `detector` is null or points to a vae_detector; `condition` is null or points to `len` floats.
vae_status vae_detector_given(vae_detector *detector,
                              const float *condition,
                              size_t len);

// Takes a sample, its channels in the model's order and in physical units, NaN for what was not observed; gives the verdict on the
// window that it completes, VAE_NONE if it completes none.
//
// # Safety
// `detector` is null or points to a vae_detector; `sample` is null or points to `channels` floats; `verdict` is null or points to memory
// for it.
vae_status vae_detector_push(vae_detector *detector,
                             const float *sample,
                             size_t channels,
                             vae_verdict *verdict);

// Takes a sample as vae_detector_push does, without judging: `complete` says whether vae_detector_step is to be called now.
//
// # Safety
// As vae_detector_push; `complete` is null or points to memory for it.
vae_status vae_detector_feed(vae_detector *detector,
                             const float *sample,
                             size_t channels,
                             bool *complete);

// Does a part of what is left to do for a window, at most one layer of the network, so that others get their turn: VAE_PENDING until
// it is done.
//
// # Safety
// `detector` is null or points to a vae_detector; `verdict` is null or points to memory for it.
vae_status vae_detector_step(vae_detector *detector,
                             vae_verdict *verdict);

// Says that samples are missing between the last one and the next: the window starts anew.
//
// # Safety
// `detector` is null or points to a vae_detector.
vae_status vae_detector_gap(vae_detector *detector);

// Clears the alarm: somebody has seen it, and the fault is mended. If the machine goes on as it was, the alarm is raised again.
//
// # Safety
// `detector` is null or points to a vae_detector.
vae_status vae_detector_acknowledge(vae_detector *detector);

// Locks what has been learned of the machine, for as long as the detector lives: vae_detector_rebaseline, vae_detector_forget and
// vae_detector_restore answer VAE_LOCKED from now on, and scores are no longer compensated for drift, which is still reported.
//
// # Safety
// `detector` is null or points to a vae_detector.
vae_status vae_detector_lock(vae_detector *detector);

// Goes back to the model's own calibration, as if nothing had been seen: no baseline, no drift, no alarm.
//
// # Safety
// `detector` is null or points to a vae_detector.
vae_status vae_detector_forget(vae_detector *detector);

// Makes the next `windows` windows the new normal, when the machine is known to be healthy, as after a repair or for a model that was
// trained on another machine of the kind; there are no verdicts meanwhile but VAE_SENSOR_FAULT. VAE_ALARMED while an alarm is raised.
//
// # Safety
// `detector` is null or points to a vae_detector.
vae_status vae_detector_rebaseline(vae_detector *detector,
                                   uint32_t windows);

// Writes what the detector remembers to the first snapshot_bytes bytes of `record`, to be kept over a loss of power.
//
// # Safety
// `detector` is null or points to a vae_detector; `record` is null or points to `len` bytes that may be written.
vae_status vae_detector_snapshot(vae_detector *detector, uint8_t *record, size_t len);

// Goes on from a snapshot of `len` bytes, snapshot_bytes; if it fails the detector is as it was.
//
// # Safety
// `detector` is null or points to a vae_detector; `record` is null or points to `len` bytes.
vae_status vae_detector_restore(vae_detector *detector, const uint8_t *record, size_t len);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* VAE_H */
