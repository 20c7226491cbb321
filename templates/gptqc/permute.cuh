// X in the order of the packed columns, for kernels that read it in whole 16 bytes: a kernel of its
// own in front of the layer's, which may start at the same time and waits for it behind its first
// weights. Its args have the permuted X as y.
//
// The layer has two more facts: source_k, the columns of X as it comes, and stage_rows, whether a
// row fits in shared memory (else its elements are gathered from global memory).
#ifndef GPTQC_TEMPLATES_PERMUTE_CUH
#define GPTQC_TEMPLATES_PERMUTE_CUH

#include "gptqc/args.cuh"
#include "gptqc/predecessors.cuh"
#include "gptqc/ptx/block.cuh"

namespace gptqc {

constexpr int permute_threads = 1024; // of a block, 8 packed columns each

/// Copies a row of X to shared memory; all threads.
template <typename layer> GPTQC_DEVICE void stage_row(u16 *to, const u16 *x) {
  const bool aligned = (u64)x % 16 == 0;
  const int pieces = aligned ? (int)(layer::source_k / 8) : 0;
#pragma unroll 4
  for (int i = threadIdx.x; i < pieces; i += permute_threads)
    ((u32x4 *)to)[i] = ((const u32x4 *)x)[i];
  for (int i = pieces * 8 + threadIdx.x; i < layer::source_k; i += permute_threads)
    to[i] = x[i];
}

/// y[row][k] = x[row][perm[k]], zero where perm is -1. Grid: x over blocks of columns, y over rows,
/// any number.
template <typename layer>
GPTQC_DEVICE void permute_activations(u8 *shared, const linear_args &args) {
  const int k = (blockIdx.x * permute_threads + threadIdx.x) * 8;
  u32x4 columns[2] = {}; // before the wait: the permutation is the layer's
  if (args.perm && k < layer::padded_k)
    columns[0] = *(const u32x4 *)(args.perm + k), columns[1] = *(const u32x4 *)(args.perm + k + 4);
  await_predecessors();
#pragma unroll 1
  for (int row = blockIdx.y; row < args.m; row += gridDim.y) {
    const u16 *x = args.x + row * args.ldx;
    if constexpr (layer::stage_rows) {
      block_barrier(); // the row before has been read
      stage_row<layer>((u16 *)shared, x);
      block_barrier();
      x = (const u16 *)shared;
    }
    if (k < layer::padded_k) {
      u32 pairs[4] = {0, 0, 0, 0};
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        int column = k + j < layer::source_k ? k + j : -1;
        if (args.perm)
          column = (int)(&columns[j / 4].x)[j % 4];
        const u32 bits = column >= 0 ? x[column] : 0;
        pairs[j / 2] |= bits << (16 * (j & 1));
      }
      *(u32x4 *)(args.y + row * args.ldy + k) = {pairs[0], pairs[1], pairs[2], pairs[3]};
    }
  }
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PERMUTE_CUH
