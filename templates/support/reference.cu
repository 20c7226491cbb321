// The reference on the GPU: dequantize and multiply in double, straight from plain codes, sharing
// nothing with the packed layout or its kernels. Also gives what a correct kernel may scatter by,
// which the tolerance needs (runtime/cpu/Reference.h).
#include "gptqc/ptx/block.cuh"
#include "gptqc/types.cuh"

using namespace gptqc;

struct reference_args {
  const u8 *codes;     // [K][N]
  const u8 *zeros;     // [G][N]; null when symmetric
  const u16 *scales;   // [G][N]
  const int *group_of; // [K]
  const u16 *x;        // [M][K], row stride ldx
  const u16 *bias;     // [N]; null: none
  double *y;           // out: [M][N]
  double *squares;     // out: [M][N], squares of spreads
  i64 n, k, ldx;
  int m;
  int sym_zero;
  int act_bf16, scale_bf16;
};
static_assert(sizeof(reference_args) == 104, "must match ReferenceArgs");

constexpr int tile_n = 64, tile_m = 16, tile_k = 16;

struct reference_stage {
  double weights[tile_k][tile_n], tokens[tile_k][tile_m];
  float errors[tile_k][tile_n]; // of rounding the weights
};
static_assert(sizeof(reference_stage) == 14336, "must match kReferenceSharedBytes");

GPTQC_DEVICE float element(u16 bits, int is_bf16) {
  return is_bf16 ? bf16::to_float(bits) : f16::to_float(bits);
}

/// What rounding to the activations' type adds to a weight; 0 where that is not finite.
GPTQC_DEVICE float rounding_error(float weight, int is_bf16) {
  const float rounded =
      is_bf16 ? bf16::to_float(bf16::from_float(weight)) : f16::to_float(f16::from_float(weight));
  return fabsf(rounded) <= 0x1.fffffep127f ? rounded - weight : 0.0f;
}

/// Grid: x = ceil(N / 64), y = ceil(M / 16); 256 threads, each 1 row n by 4 tokens.
extern "C" __global__ void __launch_bounds__(256)
    reference_gemm(const __grid_constant__ reference_args args) {
  GPTQC_SHARED_MEMORY(memory);
  reference_stage &stage = *(reference_stage *)memory;
  const i64 n0 = (i64)blockIdx.x * tile_n, m0 = (i64)blockIdx.y * tile_m;
  const int column = threadIdx.x % tile_n, first_token = threadIdx.x / tile_n * 4;
  double sum[4] = {}, square[4] = {}, rounding[4] = {};
  for (i64 k0 = 0; k0 < args.k; k0 += tile_k) {
    for (int i = threadIdx.x; i < tile_k * tile_n; i += 256) {
      const i64 k = k0 + i / tile_n, n = n0 + i % tile_n;
      double weight = 0;
      if (k < args.k && n < args.n) {
        const i64 group = (i64)args.group_of[k] * args.n + n;
        const int zero = args.zeros ? args.zeros[group] : args.sym_zero;
        weight = (double)element(args.scales[group], args.scale_bf16) *
                 ((int)args.codes[k * args.n + n] - zero);
      }
      stage.weights[i / tile_n][i % tile_n] = weight;
      stage.errors[i / tile_n][i % tile_n] = rounding_error((float)weight, args.act_bf16);
    }
    const int i = threadIdx.x; // tile_k * tile_m == 256
    const i64 k = k0 + i % tile_k, m = m0 + i / tile_k;
    stage.tokens[i % tile_k][i / tile_k] =
        k < args.k && m < args.m ? (double)element(args.x[m * args.ldx + k], args.act_bf16) : 0.0;
    block_barrier();
    const int valid_k = (int)min_of(args.k - k0, (i64)tile_k);
    for (int j = 0; j < valid_k; ++j)
#pragma unroll
      for (int t = 0; t < 4; ++t) {
        const double product = stage.weights[j][column] * stage.tokens[j][first_token + t];
        sum[t] += product;
        square[t] += product * product;
        rounding[t] += stage.errors[j][column] * stage.tokens[j][first_token + t];
      }
    block_barrier();
  }
  const i64 n = n0 + column;
#pragma unroll
  for (int t = 0; t < 4; ++t) {
    const i64 m = m0 + first_token + t;
    if (n < args.n && m < args.m) {
      args.y[m * args.n + n] =
          sum[t] + (args.bias ? (double)element(args.bias[n], args.act_bf16) : 0.0);
      const double units = args.act_bf16 ? 0x1p5 : 0x1p8; // 1 / (8 u)
      const double spread = sqrt(square[t]) + fabs(rounding[t]) * units;
      args.squares[m * args.n + n] = spread * spread;
    }
  }
}
