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
/* Grows with every change of this interface; a program compares it with GPTQC_ABI. */
#define GPTQC_ABI 3
GPTQC_API int gptqc_abi(void);
/* 1 when the library has a feature, by name: "cpu", "cuda", "packs", "cache", "compiler_callback",
   "fused", "tensor_parallel", "solve", "grouped"; else 0. */
GPTQC_API int gptqc_has_feature(const char *name);

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

/* Grouped layers (a mixture of experts): several layers of one shape as one, whose rows of X come
   sorted by expert. */

/* Checks and packs the experts, 2 to 512 of the same shape, bits, groups and types. */
GPTQC_API gptqc_error *gptqc_layer_from_experts(const gptqc_layer_codes *experts, size_t count,
                                                gptqc_layer **layer);
/* Expert e takes rows offsets[e]..offsets[e + 1] - 1 of x; offsets: [experts + 1], ascending in
   0..rows. Rows of no expert are left alone in y. Else as gptqc_layer_run_cpu. */
GPTQC_API gptqc_error *gptqc_layer_run_grouped_cpu(const gptqc_layer *layer, const uint16_t *x,
                                                   int64_t ldx, int64_t rows,
                                                   const int32_t *offsets, int32_t threads,
                                                   uint16_t *y, int64_t ldy);

/* ---- Checkpoints ---------------------------------------------------------------------------- */

/* A folder of a GPTQ model. */
typedef struct gptqc_checkpoint gptqc_checkpoint;
GPTQC_API gptqc_error *gptqc_checkpoint_open(const char *folder, gptqc_checkpoint **checkpoint);
/* NULL is allowed. */
GPTQC_API void gptqc_checkpoint_free(gptqc_checkpoint *checkpoint);
/* Quantized layers, in the order of the model. */
GPTQC_API size_t gptqc_checkpoint_layer_count(const gptqc_checkpoint *checkpoint);
/* "model.layers.0.mlp.up_proj" and its descriptor; "" for an index that is too large. They live as
   long as the checkpoint. */
GPTQC_API const char *gptqc_checkpoint_layer_name(const gptqc_checkpoint *checkpoint, size_t index);
GPTQC_API const char *gptqc_checkpoint_layer_descriptor(const gptqc_checkpoint *checkpoint,
                                                        size_t index);
/* A layer by its name, packed for the CPU. */
GPTQC_API gptqc_error *gptqc_layer_from_checkpoint(const gptqc_checkpoint *checkpoint,
                                                   const char *name, gptqc_layer **layer);

/* ---- Contexts: a GPU and where its kernels come from ------------------------------------------
 */

/* A compiled kernel in the library's self-checking byte form. */
typedef struct gptqc_image {
  const uint8_t *data;
  size_t size;
  void (*release)(struct gptqc_image *image); /* frees data; NULL: nothing to free */
  void *owner;                                /* for release */
} gptqc_image;

/* What compiles kernels when packs and cache lack them; libgptqc_compiler fills one. The functions
   are called from several threads at once. They return NULL and fill `image`, or an error made with
   gptqc_error_create. */
typedef struct gptqc_compiler {
  size_t struct_size; /* sizeof(gptqc_compiler) */
  void *user;         /* handed to the functions */
  /* `descriptor` with its range of tokens, `target` e.g. "sm_90a h200 sms132". */
  gptqc_error *(*compile_linear)(void *user, const char *descriptor, const char *target,
                                 gptqc_image *image);
  /* A support kernel by its file, e.g. "support/repack.cu", and one of its entries. */
  gptqc_error *(*compile_support)(void *user, const char *file, const char *entry,
                                  const char *target, gptqc_image *image);
} gptqc_compiler;

/* For compilers; the message is copied. NULL only for code 0. */
GPTQC_API gptqc_error *gptqc_error_create(int code, const char *message);

/* Receives one line, without its newline, from any thread. */
typedef void (*gptqc_log)(void *user, const char *line);

typedef struct gptqc_context_options {
  size_t struct_size;       /* sizeof(gptqc_context_options) */
  int32_t device;           /* CUDA's number of the GPU, from 0 */
  int32_t no_jit;           /* not 0: a run whose kernel was not prepared is an error */
  int32_t threads;          /* that prepare compiles on; 0: one per core */
  int32_t reserved;         /* 0 */
  const char *const *packs; /* files of `gptqc pack build`, asked in this order */
  size_t pack_count;
  const char *cache;              /* folder of the kernel cache; NULL: the default; "": none */
  const gptqc_compiler *compiler; /* copied; NULL: none */
  gptqc_log log;                  /* NULL: stderr */
  void *log_user;
  const char *log_topics; /* e.g. "dispatch,cache"; NULL: warnings alone */
} gptqc_context_options;

/* Retains the GPU's primary context, which other users of CUDA in the process share. */
typedef struct gptqc_context gptqc_context;
GPTQC_API gptqc_error *gptqc_context_create(const gptqc_context_options *options,
                                            gptqc_context **context);
/* NULL is allowed. Linears that were made with it stay valid. */
GPTQC_API void gptqc_context_free(gptqc_context *context);
/* E.g. "sm_90a h200 sms132"; lives as long as the context. */
GPTQC_API const char *gptqc_context_target(const gptqc_context *context);

/* ---- Linears: layers on the GPU ---------------------------------------------------------------
   A stream is a CUstream (cudaStream_t) of the context's GPU; NULL is the default stream. Device
   addresses are plain integers. */

enum { GPTQC_CONTINUOUS = 0, GPTQC_PLANAR = 1 };            /* how words hold codes */
enum { GPTQC_ZEROS_STORED = 0, GPTQC_ZEROS_MINUS_ONE = 1 }; /* v2; v1, which stores zero - 1 */

/* The tensors of a layer as a GPTQ checkpoint has them. Pointers are borrowed for the call. */
typedef struct gptqc_tensors {
  size_t struct_size; /* sizeof(gptqc_tensors) */
  int32_t bits;       /* 2..8 */
  int32_t on_device;  /* not 0: all pointers are device addresses, valid in stream order */
  int64_t n, k;       /* output and input features; both fill whole words */
  int64_t group_size; /* -1: one group */
  int64_t groups;     /* G: rows of qzeros and scales */
  int32_t packing;    /* GPTQC_CONTINUOUS or GPTQC_PLANAR; the same for 2, 4, 8 bits */
  int32_t zeros_form; /* GPTQC_ZEROS_STORED or GPTQC_ZEROS_MINUS_ONE */
  int32_t act, out, scale_type; /* GPTQC_F16 or GPTQC_BF16 */
  int32_t reserved;             /* 0 */
  const void *qweight;          /* [K*bits/32, N] int32 */
  const void *qzeros;           /* [G, N*bits/32] int32; NULL: symmetric, 2^(bits-1) */
  const void *scales;           /* [G,N], 16 bits each */
  const void *g_idx;            /* [K] int32; NULL: k / group_size */
  const void *bias;             /* [N] of the act type; NULL: none */
} gptqc_tensors;

typedef struct gptqc_linear_options {
  size_t struct_size;      /* sizeof(gptqc_linear_options) */
  int32_t silu_mul;        /* not 0: the two parts are gate and up; Y = silu(gate) * up */
  int32_t batch_invariant; /* not 0: a row of Y does not depend on M */
  int32_t x_is_permuted;   /* not 0: X comes in the order of gptqc_linear_input_columns */
  int32_t n_rank, n_ranks; /* this rank's share of every part's N; 0, 0: all */
  int32_t k_rank, k_ranks; /* this rank's share of K: the ranks' Y are to be summed; the bias is
                              rank 0's */
  int32_t overlaps;        /* not 0: a run may start before the kernel in front of it on the stream
                              has ended (programmatic dependent launch, sm_90 and later); it waits
                              for that before it touches x, y and the workspace */
} gptqc_linear_options;

typedef struct gptqc_linear gptqc_linear;

/* Repacks tensors on the GPU in the order of `stream` and waits for it. Several parts (q/k/v,
   gate/up) become one layer whose outputs follow each other in Y; they must have the same bits,
   groups, types and g_idx. `options` may be NULL. */
GPTQC_API gptqc_error *gptqc_linear_create(gptqc_context *context, const gptqc_tensors *parts,
                                           size_t part_count, const gptqc_linear_options *options,
                                           void *stream, gptqc_linear **linear);
/* The same from layers of a checkpoint, by their names. */
GPTQC_API gptqc_error *gptqc_linear_from_checkpoint(gptqc_context *context,
                                                    const gptqc_checkpoint *checkpoint,
                                                    const char *const *names, size_t name_count,
                                                    const gptqc_linear_options *options,
                                                    void *stream, gptqc_linear **linear);
/* A grouped layer: `parts` holds experts x parts_per_expert tensors, those of an expert side by
   side, 2 to 512 experts of the same shape, bits, groups and types; options hold for every expert.
   Act-order experts may have orders of their own, then without x_is_permuted. */
GPTQC_API gptqc_error *gptqc_linear_create_grouped(gptqc_context *context,
                                                   const gptqc_tensors *parts, size_t experts,
                                                   size_t parts_per_expert,
                                                   const gptqc_linear_options *options,
                                                   void *stream, gptqc_linear **linear);
/* The same from layers of a checkpoint: experts x names_per_expert names. */
GPTQC_API gptqc_error *gptqc_linear_grouped_from_checkpoint(gptqc_context *context,
                                                            const gptqc_checkpoint *checkpoint,
                                                            const char *const *names,
                                                            size_t experts, size_t names_per_expert,
                                                            const gptqc_linear_options *options,
                                                            void *stream, gptqc_linear **linear);
/* NULL is allowed. The caller has waited for the linear's runs. */
GPTQC_API void gptqc_linear_free(gptqc_linear *linear);
/* What runs, with m1..; lives as long as the linear. */
GPTQC_API const char *gptqc_linear_descriptor(const gptqc_linear *linear);
/* Device memory that the weights take. */
GPTQC_API int64_t gptqc_linear_bytes(const gptqc_linear *linear);
/* Which input feature of the whole layer each column of X must hold: writes K values when
   `capacity` >= K and returns K; all in order unless x_is_permuted or k_ranks say otherwise. */
GPTQC_API int64_t gptqc_linear_input_columns(const gptqc_linear *linear, int32_t *columns,
                                             int64_t capacity);

/* Gets the kernels for m_lo..m_hi tokens ready, from packs, cache or compiler, in parallel for all
   linears (of one context). May compile, load and allocate. */
GPTQC_API gptqc_error *gptqc_prepare(gptqc_linear *const *linears, size_t count, int64_t m_lo,
                                     int64_t m_hi);

/* Bytes of workspace that runs of up to max_m tokens need, with the kernels that are prepared, of
   which max_m's must be one. aligned_x not 0 promises X whose base and row stride are multiples of
   16 bytes. */
GPTQC_API gptqc_error *gptqc_linear_workspace(const gptqc_linear *linear, int64_t max_m,
                                              int32_t aligned_x, int64_t *bytes);
/* Makes a workspace fit for use, in stream order; once, for all linears that share it. Runs that
   share a workspace must be on one stream. Its address is a multiple of 16. */
GPTQC_API gptqc_error *gptqc_workspace_init(gptqc_context *context, uint64_t workspace,
                                            int64_t bytes, void *stream);

/* Y = epilogue(X W + bias) in stream order. x: [m,K] of the act type, row stride ldx elements; y:
   [m,outputs] of the out type, row stride ldy; both 2-byte aligned, x better 16-byte aligned with
   ldx a multiple of 8, else it is copied into the workspace first. With prepared kernels it neither
   allocates nor waits, and can be captured into a graph. m = 0 does nothing. Any thread; several at
   once on streams and with workspaces of their own. */
GPTQC_API gptqc_error *gptqc_linear_run(gptqc_linear *linear, uint64_t x, int64_t ldx, int64_t m,
                                        uint64_t y, int64_t ldy, uint64_t workspace,
                                        int64_t workspace_bytes, void *stream);

/* The same for a grouped layer, in one launch whatever the experts' rows are: `offsets` is the
   device address of [experts + 1] int32, 4-byte aligned, written in stream order; rows offsets[e]
   to offsets[e + 1] - 1 of x belong to expert e. They ascend in 0..rows; rows of no expert are left
   alone in y. The host does not read them: offsets that do not ascend, or exceed `rows`, give wrong
   values, but nothing outside of the rows of x and y is touched. prepare and workspace count the
   rows of all experts as M. */
GPTQC_API gptqc_error *gptqc_linear_run_grouped(gptqc_linear *linear, uint64_t x, int64_t ldx,
                                                int64_t rows, uint64_t offsets, uint64_t y,
                                                int64_t ldy, uint64_t workspace,
                                                int64_t workspace_bytes, void *stream);

#ifdef __cplusplus
}
#endif

#endif /* GPTQC_RUNTIME_INCLUDE_GPTQC_GPTQC_H */
