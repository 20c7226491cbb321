// GPTQ on the GPU: the kernels around the Cholesky chain, the grids, and the column loop. Rows of W
// are independent, so a warp owns some rows through all columns of a block.
#include "gptqc/ptx/atomic.cuh"
#include "gptqc/ptx/block.cuh"
#include "gptqc/ptx/warp.cuh"
#include "gptqc/types.cuh"

using namespace gptqc;

/// What all kernels here take; fields that a kernel does not name are ignored.
struct solver_args {
  const float *hessian; // [K][K], of which the lower triangle counts
  const int *column;    // [K] of a position
  const int *group;     // [K] of a position
  const int *by_group;  // [K] positions, group by group
  const int *starts;    // [G + 1] into by_group
  float *diagonal;      // [K] by column; not above 0: dead
  float *upper;         // [K][K] by position: J H J, then U
  const void *source;   // [N][K] W as it came, by column
  float *weights;       // [N][K] by position
  float *errors;        // [N][128]
  u8 *codes;            // [K][N] by column
  float *scales;        // [G][N]
  u8 *zeros;            // [G][N]
  float *loss;          // [N]
  float *samples;       // [2 * sampled][K] by position: rows of W, then what rounding them loses
  u16 *quantized;       // [N][K] by column
  u32 *rejected;        // number of weights that are not finite or beyond `limit`
  i64 n, k;
  i64 begin;       // first position of the block, or first group
  int columns;     // of the block, <= 128
  int source_type; // 0: f32, 1: f16, 2: bf16
  int max_code;
  int sym, mse, stored, zero_from_one;
  float mean, extra; // of the live diagonal; damping
  float scale;       // of the Hessian
  float limit;
  int sampled;        // rows of `samples` and of its second half
  int quantized_type; // 1: f16, 2: bf16
  int reserved;
};
static_assert(sizeof(solver_args) == 216, "must match SolverArgs");

constexpr int kBlockColumns = 128, kRowsPerWarp = 4, kWarps = 8, kThreads = 32 * kWarps;
constexpr int kParts = kBlockColumns / 32;

GPTQC_DEVICE float warp_sum(float value) {
  for (int offset = 16; offset > 0; offset >>= 1)
    value += shuffle_xor(value, offset);
  return value;
}

/// The diagonal of H. Grid: ceil(K/256).
extern "C" __global__ void __launch_bounds__(kThreads)
    hessian_diagonal(const __grid_constant__ solver_args args) {
  const i64 i = (i64)blockIdx.x * kThreads + threadIdx.x;
  if (i < args.k)
    args.diagonal[i] = args.scale * args.hessian[i * args.k + i];
}

/// The upper triangle of J H J in the order of quantization, dead columns as in a unit matrix.
/// Grid: ceil(K/256) x min(K, 65535).
extern "C" __global__ void __launch_bounds__(kThreads)
    reverse_hessian(const __grid_constant__ solver_args args) {
  const i64 j = (i64)blockIdx.x * kThreads + threadIdx.x;
  if (j >= args.k)
    return;
  const i64 column = args.column[args.k - 1 - j];
  for (i64 i = blockIdx.y; i <= j; i += gridDim.y) {
    const i64 row = args.column[args.k - 1 - i];
    const bool dead = !(args.diagonal[row] > 0) || !(args.diagonal[column] > 0);
    const i64 at = max_of(row, column) * args.k + min_of(row, column);
    args.upper[i * args.k + j] = dead ? 0.0f : args.scale * args.hessian[at];
  }
}

/// The lower triangle from the upper one, and the damped diagonal. Grid: ceil(K/32) x ceil(K/32).
/// Shared memory: a tile of floats.
extern "C" __global__ void __launch_bounds__(kThreads)
    damp_hessian(const __grid_constant__ solver_args args) {
  GPTQC_SHARED_MEMORY(memory);
  float (*tile)[33] = (float (*)[33])memory;
  const i64 row0 = (i64)blockIdx.x * 32, column0 = (i64)blockIdx.y * 32;
  if (row0 > column0)
    return;
  const int lane = threadIdx.x % 32, first = threadIdx.x / 32;
  for (int r = first; r < 32; r += kWarps)
    if (row0 + r < args.k && column0 + lane < args.k)
      tile[r][lane] = args.upper[(row0 + r) * args.k + column0 + lane];
  block_barrier();
  for (int r = first; r < 32; r += kWarps) {
    const i64 i = column0 + r, j = row0 + lane; // mirrored
    if (i >= args.k || j >= args.k || i < j)
      continue;
    float value = tile[lane][r];
    if (i == j) {
      const float own = args.diagonal[args.column[args.k - 1 - i]];
      value = (own > 0 ? own : args.mean) + args.extra;
    }
    args.upper[i * args.k + j] = value;
  }
}

/// Reverses K x K elements: both rows and columns change direction. Grid: any.
extern "C" __global__ void __launch_bounds__(kThreads)
    reverse_memory(const __grid_constant__ solver_args args) {
  const i64 count = args.k * args.k, step = (i64)gridDim.x * kThreads;
  for (i64 i = (i64)blockIdx.x * kThreads + threadIdx.x; i < count / 2; i += step) {
    const float low = args.upper[i];
    args.upper[i] = args.upper[count - 1 - i];
    args.upper[count - 1 - i] = low;
  }
}

/// W by position as floats, dead columns 0; counts what the solver refuses. Grid: ceil(K/256) x
/// min(N, 65535).
extern "C" __global__ void __launch_bounds__(kThreads)
    gather_weights(const __grid_constant__ solver_args args) {
  const i64 i = (i64)blockIdx.x * kThreads + threadIdx.x;
  if (i >= args.k)
    return;
  const i64 column = args.column[i];
  const bool dead = !(args.diagonal[column] > 0);
  for (i64 row = blockIdx.y; row < args.n; row += gridDim.y) {
    const i64 at = row * args.k + column;
    float value = 0;
    if (args.source_type == 0)
      value = ((const float *)args.source)[at];
    else if (args.source_type == 1)
      value = f16::to_float(((const u16 *)args.source)[at]);
    else
      value = bf16::to_float(((const u16 *)args.source)[at]);
    if (!(fabsf(value) <= args.limit))
      count_in(args.rejected);
    args.weights[row * args.k + i] = dead ? 0.0f : value;
  }
}

/// Rows of `weights`, evenly spaced, into `samples`. Grid: ceil(K/256) x sampled.
extern "C" __global__ void __launch_bounds__(kThreads)
    take_samples(const __grid_constant__ solver_args args) {
  const i64 i = (i64)blockIdx.x * kThreads + threadIdx.x, sample = blockIdx.y;
  if (i < args.k)
    args.samples[sample * args.k + i] = args.weights[sample * args.n / args.sampled * args.k + i];
}

struct grid_point {
  float scale, zero;
};

/// Scale and zero point over [low, high]; runtime/checkpoint/Rtn.cpp defines it.
GPTQC_DEVICE grid_point make_grid(float low, float high, const solver_args &args) {
  const float max_code = (float)args.max_code;
  if (args.sym) {
    high = fmaxf(-low, high);
    if (low < 0)
      low = -high;
  }
  if (low == 0 && high == 0) {
    low = -1;
    high = 1;
  }
  float scale = __fdiv_rn(high - low, max_code);
  float zero = (float)((args.max_code + 1) / 2);
  if (!args.sym) {
    zero = rintf(__fdiv_rn(-low, scale));
    if (args.zero_from_one && zero < 1) {
      scale = fmaxf(__fdiv_rn(high, max_code - 1), -low);
      zero = 1;
    }
    zero = fminf(fmaxf(zero, 0.0f), max_code);
  }
  if (args.stored) {
    const u16 bits = f16::from_float(scale);
    scale = f16::to_float(bits == 0 ? (u16)1 : bits);
  } else {
    scale = fmaxf(scale, 1.17549435e-38f);
  }
  return {scale, zero};
}

GPTQC_DEVICE float code_of(float w, grid_point grid, float max_code) {
  const float q = rintf(__fdiv_rn(w, grid.scale)) + grid.zero;
  return fminf(fmaxf(q, 0.0f), max_code);
}

/// The grids of the groups begin + blockIdx.y, a warp for each row. With `mse` the range shrinks in
/// 80 steps of 1 % while the sum of |error|^2.4 falls. Grid: ceil(N/8) x groups.
extern "C" __global__ void __launch_bounds__(kThreads)
    find_grids(const __grid_constant__ solver_args args) {
  const i64 row = (i64)blockIdx.x * kWarps + warp_id(), group = args.begin + blockIdx.y;
  if (row >= args.n)
    return;
  const int first = args.starts[group], last = args.starts[group + 1];
  const float *w = args.weights + row * args.k;
  float low = 0, high = 0;
  for (int i = first + lane_id(); i < last; i += 32) {
    const float value = w[args.by_group[i]];
    low = fminf(low, value);
    high = fmaxf(high, value);
  }
  for (int offset = 16; offset > 0; offset >>= 1) {
    low = fminf(low, shuffle_xor(low, offset));
    high = fmaxf(high, shuffle_xor(high, offset));
  }
  grid_point best = make_grid(low, high, args);
  if (args.mse) {
    float least = __uint_as_float(0x7f800000u);
    for (int step = 0; step < 80; ++step) {
      const float factor = 1 - (float)step / 100;
      const grid_point grid = make_grid(low * factor, high * factor, args);
      float error = 0;
      for (int i = first + lane_id(); i < last; i += 32) {
        const float value = w[args.by_group[i]];
        const float code = code_of(value, grid, (float)args.max_code);
        const float distance = fabsf(value - grid.scale * (code - grid.zero));
        error += distance > 0 ? exp2f(2.4f * __log2f(distance)) : 0.0f;
      }
      error = warp_sum(error);
      if (error < least) {
        least = error;
        best = grid;
      }
    }
  }
  if (lane_id() == 0) {
    args.scales[group * args.n + row] = best.scale;
    args.zeros[group * args.n + row] = (u8)best.zero;
  }
}

/// One block of columns. A warp has kRowsPerWarp rows; lane l holds columns l, l + 32, ... of each.
/// Shared memory: the block of U with zeros below its diagonal, then 1 / U[i][i].
/// Grid: ceil(N / 32); 256 threads.
extern "C" __global__ void __launch_bounds__(kThreads)
    quantize_columns(const __grid_constant__ solver_args args) {
  GPTQC_SHARED_MEMORY(memory);
  float *shared = (float *)memory; // [128][128], [128]
  float *inverse = shared + kBlockColumns * kBlockColumns;
  for (int i = threadIdx.x; i < args.columns * kBlockColumns; i += kThreads) {
    const int row = i / kBlockColumns, column = i % kBlockColumns;
    const bool inside = row <= column && column < args.columns;
    shared[i] = inside ? args.upper[(args.begin + row) * args.k + args.begin + column] : 0.0f;
  }
  block_barrier();
  for (int i = threadIdx.x; i < args.columns; i += kThreads)
    inverse[i] = __fdiv_rn(1.0f, shared[i * kBlockColumns + i]);
  block_barrier();

  const int lane = lane_id();
  const i64 row0 = ((i64)blockIdx.x * kWarps + warp_id()) * kRowsPerWarp;
  if (row0 >= args.n)
    return;
  float w[kRowsPerWarp][kParts], error[kRowsPerWarp][kParts], loss[kRowsPerWarp];
  grid_point grid[kRowsPerWarp][kParts];
  float code[kRowsPerWarp][kParts];
#pragma unroll
  for (int r = 0; r < kRowsPerWarp; ++r) {
    loss[r] = 0;
    const i64 row = min_of(row0 + r, args.n - 1);
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
      const int i = part * 32 + lane;
      const bool inside = i < args.columns;
      const i64 position = args.begin + (inside ? i : 0);
      const i64 at = (i64)args.group[position] * args.n + row;
      w[r][part] = inside ? args.weights[row * args.k + position] : 0.0f;
      grid[r][part] = {args.scales[at], (float)args.zeros[at]};
      error[r][part] = 0;
      code[r][part] = 0;
    }
  }
#pragma unroll
  for (int part = 0; part < kParts; ++part) {
    const int count = min_of(32, args.columns - part * 32);
    for (int l = 0; l < count; ++l) {
      const int i = part * 32 + l;
      float u[kParts];
#pragma unroll
      for (int other = part; other < kParts; ++other)
        u[other] = shared[i * kBlockColumns + other * 32 + lane];
      const float factor = inverse[i];
#pragma unroll
      for (int r = 0; r < kRowsPerWarp; ++r) {
        const float value = shuffle(w[r][part], l);
        const grid_point point = {shuffle(grid[r][part].scale, l), shuffle(grid[r][part].zero, l)};
        const float q = code_of(value, point, (float)args.max_code);
        const float e = (value - point.scale * (q - point.zero)) * factor;
        loss[r] += e * e;
        if (lane == l) {
          error[r][part] = e;
          code[r][part] = q;
        }
#pragma unroll
        for (int other = part; other < kParts; ++other)
          w[r][other] -= e * u[other];
      }
    }
  }
#pragma unroll
  for (int r = 0; r < kRowsPerWarp; ++r) {
    const i64 row = row0 + r;
    if (row >= args.n)
      break;
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
      const int i = part * 32 + lane;
      args.errors[row * kBlockColumns + i] = error[r][part];
      if (i < args.columns)
        args.codes[(i64)args.column[args.begin + i] * args.n + row] = (u8)code[r][part];
    }
    if (lane == 0)
      args.loss[row] += loss[r];
  }
}

/// What rounding to the grids of their own loses of the samples: the second half of `samples`.
/// `scales` and `zeros` are [G][sampled]. Grid: ceil(K/256) x sampled.
extern "C" __global__ void __launch_bounds__(kThreads)
    round_samples(const __grid_constant__ solver_args args) {
  const i64 i = (i64)blockIdx.x * kThreads + threadIdx.x, sample = blockIdx.y;
  if (i >= args.k)
    return;
  const i64 at = (i64)args.group[i] * args.sampled + sample;
  const grid_point grid = {args.scales[at], (float)args.zeros[at]};
  const float value = args.samples[sample * args.k + i];
  const float code = code_of(value, grid, (float)args.max_code);
  args.samples[(args.sampled + sample) * args.k + i] = value - grid.scale * (code - grid.zero);
}

/// Sums of squares of the rows of `samples`, into `loss`; a warp for each row. Grid: ceil(2 *
/// sampled / 8).
extern "C" __global__ void __launch_bounds__(kThreads)
    sample_power(const __grid_constant__ solver_args args) {
  const i64 row = (i64)blockIdx.x * kWarps + warp_id();
  if (row >= 2 * args.sampled)
    return;
  float sum = 0;
  for (i64 i = lane_id(); i < args.k; i += 32) {
    const float value = args.samples[row * args.k + i];
    sum += value * value;
  }
  sum = warp_sum(sum);
  if (lane_id() == 0)
    args.loss[row] = sum;
}

/// What the codes stand for, in 16 bits. Grid: ceil(K/32) x ceil(N/32), the latter at most 65535;
/// shared memory: a tile of floats.
extern "C" __global__ void __launch_bounds__(kThreads)
    write_quantized(const __grid_constant__ solver_args args) {
  GPTQC_SHARED_MEMORY(memory);
  float (*tile)[33] = (float (*)[33])memory;
  const i64 position0 = (i64)blockIdx.x * 32, row0 = (i64)blockIdx.y * 32;
  const int lane = lane_id();
  for (int r = warp_id(); r < 32; r += kWarps) {
    const i64 position = position0 + r, row = row0 + lane;
    if (position >= args.k || row >= args.n)
      continue;
    const i64 at = (i64)args.group[position] * args.n + row;
    const float code = (float)args.codes[(i64)args.column[position] * args.n + row];
    tile[r][lane] = args.scales[at] * (code - (float)args.zeros[at]);
  }
  block_barrier();
  for (int r = warp_id(); r < 32; r += kWarps) {
    const i64 position = position0 + lane, row = row0 + r;
    if (position >= args.k || row >= args.n)
      continue;
    const float value = tile[lane][r];
    args.quantized[row * args.k + args.column[position]] =
        args.quantized_type == 1 ? f16::from_float(value) : bf16::from_float(value);
  }
}
