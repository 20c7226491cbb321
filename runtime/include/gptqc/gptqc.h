/* The C interface of libgptqc_runtime. Objects are opaque and freed by their _free function; out
   parameters come last; a function that can fail returns NULL on success, else an error that the
   caller frees. Nothing here throws. Functions may be called from any thread; a layer may be used
   by several threads at once. */
#ifndef GPTQC_RUNTIME_INCLUDE_GPTQC_GPTQC_H
#define GPTQC_RUNTIME_INCLUDE_GPTQC_GPTQC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GPTQC_API __attribute__((visibility("default")))

/* What kind of failure it was. */
enum {
  GPTQC_INVALID_ARGUMENT = 1, /* the caller's mistake */
  GPTQC_UNSUPPORTED = 2,      /* valid, but this path does not do it */
  GPTQC_NOT_FOUND = 3,        /* a file, tensor, kernel or library is not there */
  GPTQC_COMPILE_FAILED = 4,   /* the kernel compiler refused */
  GPTQC_DEVICE_ERROR = 5,     /* the driver reported an error, or there is no GPU */
  GPTQC_DATA_CORRUPT = 6,     /* a file does not hold what its format promises */
  GPTQC_IO_ERROR = 7,         /* the operating system refused a read or write */
  GPTQC_INTERNAL = 8          /* a bug of this library, or no memory left */
};

typedef struct gptqc_error gptqc_error;

/* One of the values above. */
GPTQC_API int gptqc_error_code(const gptqc_error *error);
/* One line: what failed, on what, and what to do. Lives as long as the error. */
GPTQC_API const char *gptqc_error_message(const gptqc_error *error);
/* NULL is allowed. */
GPTQC_API void gptqc_error_free(gptqc_error *error);

/* "0.1.0"; never freed. */
GPTQC_API const char *gptqc_version(void);

/* Room for any descriptor's text form with its final NUL. */
#define GPTQC_DESCRIPTOR_SIZE 256

/* Checks the text form of a descriptor, e.g. "w4 g128 sym f16->f16 n4096 k4096 m1..16", and writes
   its canonical spelling with a final NUL to `canonical`, which has room for `capacity` bytes. With
   capacity 0 it only checks, and canonical may be NULL. */
GPTQC_API gptqc_error *gptqc_descriptor_check(const char *text, size_t capacity, char *canonical);

enum { GPTQC_F16 = 0, GPTQC_BF16 = 1 };

/* The weights of one layer as plain arrays: W[k,n] = scales[g(k),n] * (codes[k,n] - zeros[g(k),n]),
   with g(k) = group_index[k], or k / group_size without one. Borrowed for the call only. */
typedef struct gptqc_layer_codes {
  size_t struct_size; /* sizeof(gptqc_layer_codes) */
  int32_t bits;       /* 2..8 */
  int32_t silu_mul;   /* not 0: the first N/2 rows are gate, the rest up; Y = silu(gate) * up */
  int64_t n, k;       /* output and input features */
  int64_t group_size; /* -1: one group */
  int64_t groups;     /* G: rows of scales and zeros */
  int32_t act, out, scale_type; /* GPTQC_F16 or GPTQC_BF16: of X and bias, of Y, of the scales */
  int32_t reserved;             /* 0 */
  const uint8_t *codes;         /* [K,N], each 0..2^bits-1 */
  const uint8_t *zeros;         /* [G,N]; NULL: symmetric, 2^(bits-1) */
  const uint16_t *scales;       /* [G,N] */
  const int32_t *group_index;   /* [K]; NULL: k / group_size */
  const uint16_t *bias;         /* [N]; NULL: none */
} gptqc_layer_codes;

typedef struct gptqc_layer gptqc_layer;

/* Checks and packs a layer; any N and K. */
GPTQC_API gptqc_error *gptqc_layer_from_codes(const gptqc_layer_codes *codes, gptqc_layer **layer);
/* NULL is allowed. */
GPTQC_API void gptqc_layer_free(gptqc_layer *layer);
/* The descriptor's text form, e.g. "w4 g128 sym f16->f16 n4096 k4096 m1.."; lives as long as the
 * layer. */
GPTQC_API const char *gptqc_layer_descriptor(const gptqc_layer *layer);

/* Y = epilogue(X W + bias) on the CPU. x: [m,K] in the layer's act type, row stride ldx >= K
   elements; y: [m,outputs] in its out type, row stride ldy >= outputs (N, or N/2 for silu_mul).
   threads = 0: all. m = 0 succeeds and touches nothing. */
GPTQC_API gptqc_error *gptqc_layer_run_cpu(const gptqc_layer *layer, const uint16_t *x, int64_t ldx,
                                           int64_t m, int32_t threads, uint16_t *y, int64_t ldy);

#ifdef __cplusplus
}
#endif

#endif /* GPTQC_RUNTIME_INCLUDE_GPTQC_GPTQC_H */
