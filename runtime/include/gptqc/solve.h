/* GPTQ for one layer: the part of the C interface that makes weights. Same rules as gptqc.h. */
#ifndef GPTQC_RUNTIME_INCLUDE_GPTQC_SOLVE_H
#define GPTQC_RUNTIME_INCLUDE_GPTQC_SOLVE_H

#include <gptqc/gptqc.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Besides GPTQC_F16 and GPTQC_BF16, for weights and inputs that are only read. */
enum { GPTQC_F32 = 2 };

typedef struct gptqc_hessian gptqc_hessian;

/* An empty sum for a layer with k input features; threads = 0: all. Used by one thread at a time.
 */
GPTQC_API gptqc_error *gptqc_hessian_create(int64_t k, int32_t threads, gptqc_hessian **hessian);
/* Adds x [tokens, k] of `type`, row stride ldx >= k elements. Every token counts the same. */
GPTQC_API gptqc_error *gptqc_hessian_add(gptqc_hessian *hessian, const void *x, int32_t type,
                                         int64_t ldx, int64_t tokens);
/* NULL is allowed. */
GPTQC_API void gptqc_hessian_free(gptqc_hessian *hessian);

typedef struct gptqc_solve_options {
  size_t struct_size;      /* sizeof(gptqc_solve_options) */
  int64_t group_size;      /* -1: one group */
  int32_t bits;            /* 2..8 */
  int32_t asym;            /* not 0: a zero point for each group and row */
  int32_t act_order;       /* not 0: groups of the columns that matter most first */
  int32_t static_groups;   /* not 0: grids from the original weights; g_idx stays in order */
  int32_t act_group_aware; /* not 0: act-order inside groups and of groups; g_idx in order */
  int32_t group_refresh;   /* not 0: small groups see all updates before their grid is made */
  int32_t mse;             /* not 0: search each grid for the least error */
  int32_t zero_from_one;   /* not 0: zero points >= 1, as v1 files need */
  int32_t f32_scales;      /* not 0: scales stay unrounded; else they are values of f16 */
  int32_t threads;         /* 0: all */
  double damp;             /* of the mean diagonal of H; 0.01 is usual */
} gptqc_solve_options;

/* Exactly one of `hessian` and `h` is given. Everything is borrowed for the call only. */
typedef struct gptqc_solve_layer {
  size_t struct_size;           /* sizeof(gptqc_solve_layer) */
  int64_t n, k;                 /* output and input features */
  const void *w;                /* [n,k], finite */
  int64_t ldw;                  /* row stride of w, >= k elements */
  int32_t w_type;               /* GPTQC_F16, GPTQC_BF16 or GPTQC_F32 */
  int32_t reserved;             /* 0 */
  const gptqc_hessian *hessian; /* sums of the layer's inputs; may serve several layers */
  const float *h;               /* [k,k]: 2 / tokens * sum of x x^T, without damping */
} gptqc_solve_layer;

/* Arrays of the caller, filled on success. G = gptqc_solve_groups(k, group_size). */
typedef struct gptqc_solution {
  size_t struct_size;   /* sizeof(gptqc_solution) */
  uint8_t *codes;       /* [k,n], 0..2^bits-1 */
  uint8_t *zeros;       /* [G,n]; 2^(bits-1) when symmetric */
  float *scales;        /* [G,n] */
  int32_t *group_index; /* [k] */
  double loss;          /* tr((W-Q) H (W-Q)^T), with the damping on H */
  double error_before;  /* relative error of the output, rounded to nearest; from 64 rows */
  double error_after;   /* the same of this solution */
  double damp;          /* as used */
  int32_t recovery; /* 0: none; 1: more damping; 2: a floor on the diagonal; 3: only its diagonal */
  int32_t reserved;
} gptqc_solution;

/* Groups of a layer with k columns; 0 for sizes that are out of range. */
GPTQC_API int64_t gptqc_solve_groups(int64_t k, int64_t group_size);

/* W[k,n] ~ scales[g(k),n] * (codes[k,n] - zeros[g(k),n]) with g = group_index. Never gives NaN: an
   H that is not positive definite is damped, at worst reduced to its diagonal (round to nearest).
 */
GPTQC_API gptqc_error *gptqc_solve(const gptqc_solve_layer *layer,
                                   const gptqc_solve_options *options, gptqc_solution *solution);

#ifdef __cplusplus
}
#endif

#endif /* GPTQC_RUNTIME_INCLUDE_GPTQC_SOLVE_H */
