// X in the order of the packed columns, for kernels that read it in whole 16 bytes: a kernel of its
// own in front of the layer's, which may start at the same time and waits for it behind its first
// weights. Its args have the permuted X as y.
//
// The layer has three more facts: source_k, the columns of X as it comes; staged_rows, how many
// rows a block holds in shared memory at a time (1, 2 or 4, side by side, so that one read gathers
// a column of all; 0: elements are gathered from global memory); permute_threads, of a block, each
// of which has 8 packed columns at a time.
#ifndef GPTQC_TEMPLATES_PERMUTE_CUH
#define GPTQC_TEMPLATES_PERMUTE_CUH

#include "gptqc/args.cuh"
#include "gptqc/predecessors.cuh"
#include "gptqc/ptx/block.cuh"

namespace gptqc {

/// A column of 1, 2 or 4 rows of X, 16 bits a row.
template <int rows> struct x_column {
  static constexpr int words = (rows + 1) / 2;
  u32 pair[words];

  __device__ __forceinline__ u32 row(int r) const { return pair[r / 2] >> (16 * (r & 1)) & 0xffff; }
  __device__ __forceinline__ void set(int r, u32 bits) {
    pair[r / 2] = r & 1 ? pair[r / 2] | bits << 16 : bits;
  }
};

/// Copies `rows` rows of X to shared memory, element by element side by side; rows behind the
/// `count`-th are zeros. All threads.
template <typename layer, int rows>
GPTQC_DEVICE void stage_rows(u16 *to, const u16 *x, i64 ldx, int count) {
  constexpr int threads = layer::permute_threads;
  const bool aligned = ((u64)x | (u64)(ldx * 2)) % 16 == 0;
  const int eights = aligned ? (int)(layer::source_k / 8) : 0;
#pragma unroll 4 / rows
  for (int i = threadIdx.x; i < eights; i += threads) {
    u32x4 from[rows];
#pragma unroll
    for (int r = 0; r < rows; ++r)
      from[r] = r < count ? ((const u32x4 *)(x + r * ldx))[i] : u32x4{0, 0, 0, 0};
    if constexpr (rows == 1) {
      ((u32x4 *)to)[i] = from[0];
    } else {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        x_column<rows> columns[2];
#pragma unroll
        for (int r = 0; r < rows; ++r) {
          const u32 both = (&from[r].x)[j];
          columns[0].set(r, both & 0xffff);
          columns[1].set(r, both >> 16);
        }
        if constexpr (rows == 2)
          ((u32x2 *)to)[i * 4 + j] = {columns[0].pair[0], columns[1].pair[0]};
        else
          ((u32x4 *)to)[i * 4 + j] = {columns[0].pair[0], columns[0].pair[1], columns[1].pair[0],
                                      columns[1].pair[1]};
      }
    }
  }
#pragma unroll 4
  for (int i = eights * 8 + threadIdx.x; i < layer::source_k; i += threads)
#pragma unroll
    for (int r = 0; r < rows; ++r)
      to[i * rows + r] = r < count ? x[r * ldx + i] : (u16)0;
}

/// A column of X out of shared memory, or, where no rows are staged, of one row in global memory.
template <int rows> GPTQC_DEVICE x_column<rows> read_column(const u16 *x, int column) {
  x_column<rows> read;
  if constexpr (rows == 1) {
    read.pair[0] = x[column];
  } else if constexpr (rows == 2) {
    read.pair[0] = ((const u32 *)x)[column];
  } else {
    const u32x2 pairs = ((const u32x2 *)x)[column];
    read.pair[0] = pairs.x, read.pair[1] = pairs.y;
  }
  return read;
}

/// Columns of X in the order of 8 packed ones.
struct column_order {
  int column[8];
};

/// Those of the packed columns from k on; -1: zero.
template <typename layer> GPTQC_DEVICE column_order order_of(const linear_args &args, int k) {
  column_order order;
#pragma unroll
  for (int j = 0; j < 8; ++j)
    order.column[j] = k + j < layer::source_k ? k + j : -1;
  if (args.perm && k < layer::padded_k) {
    const u32x4 low = *(const u32x4 *)(args.perm + k), high = *(const u32x4 *)(args.perm + k + 4);
#pragma unroll
    for (int j = 0; j < 8; ++j)
      order.column[j] = (int)(&(j < 4 ? low : high).x)[j % 4];
  }
  return order;
}

/// The 8 packed columns from k on of `count` rows of y.
template <int rows>
GPTQC_DEVICE void permute_columns(const linear_args &args, const column_order &order, const u16 *x,
                                  u16 *y, int k, int count) {
  u32 words[rows][4] = {};
#pragma unroll
  for (int j = 0; j < 8; ++j) {
    if (order.column[j] < 0)
      continue;
    const x_column<rows> read = read_column<rows>(x, order.column[j]);
#pragma unroll
    for (int r = 0; r < rows; ++r)
      words[r][j / 2] |= read.row(r) << (16 * (j & 1));
  }
#pragma unroll
  for (int r = 0; r < rows; ++r)
    if (r < count)
      *(u32x4 *)(y + r * args.ldy + k) = {words[r][0], words[r][1], words[r][2], words[r][3]};
}

/// y[row][k] = x[row][perm[k]], zero where perm is -1. Grid: x over blocks of columns, y over rows,
/// any number.
template <typename layer>
GPTQC_DEVICE void permute_activations(u8 *shared, const linear_args &args) {
  constexpr int rows = layer::staged_rows > 0 ? layer::staged_rows : 1;
  constexpr int threads = layer::permute_threads;
  const int first = (blockIdx.x * threads + threadIdx.x) * 8;
  const column_order start = order_of<layer>(args, first); // does not wait: it is the layer's
  await_predecessors();
#pragma unroll 1
  for (int row = blockIdx.y * rows; row < args.m; row += gridDim.y * rows) {
    const u16 *x = args.x + row * args.ldx;
    const int count = args.m - row;
    if constexpr (layer::staged_rows > 0) {
      block_barrier(); // the rows before have been read
      stage_rows<layer, rows>((u16 *)shared, x, args.ldx, count);
      block_barrier();
      x = (const u16 *)shared;
    }
#pragma unroll 1
    for (int k = first; k < layer::padded_k; k += gridDim.x * threads * 8)
      permute_columns<rows>(args, k == first ? start : order_of<layer>(args, k), x,
                            args.y + row * args.ldy, k, count);
  }
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_PERMUTE_CUH
