/* libgptqc_compiler: the compiler as the table of functions that a gptqc_context takes, so that a
   host compiles the kernels that its packs lack (needs NVRTC, of a CUDA Toolkit or its wheel). */
#ifndef GPTQC_RUNTIME_INCLUDE_GPTQC_COMPILER_H
#define GPTQC_RUNTIME_INCLUDE_GPTQC_COMPILER_H

#include <gptqc/gptqc.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gptqc_compiler_options {
  size_t struct_size; /* sizeof(gptqc_compiler_options) */
  const char
      *nvrtc; /* libnvrtc, or a folder that holds it; NULL: GPTQC_NVRTC, then the usual places */
  const char *cache; /* folder of the kernel cache; NULL: the default; "": none */
} gptqc_compiler_options;

/* Fills `table` with a new compiler; `options` may be NULL. NVRTC is opened by the first kernel.
   Thread-safe; kernels compile in parallel. */
GPTQC_API gptqc_error *gptqc_compiler_open(const gptqc_compiler_options *options,
                                           gptqc_compiler *table);
/* Frees the compiler of a table, after the contexts and linears that use it; NULL is allowed. */
GPTQC_API void gptqc_compiler_close(gptqc_compiler *table);

#ifdef __cplusplus
}
#endif

#endif /* GPTQC_RUNTIME_INCLUDE_GPTQC_COMPILER_H */
