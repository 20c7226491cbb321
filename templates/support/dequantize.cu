// Plain codes to a dense matrix [N][K] in the activation type: what the dense fp16 comparison
// multiplies with.
#include "gptqc/types.cuh"

using namespace gptqc;

struct dequantize_args {
  const u8 *codes;     // [K][N]
  const u8 *zeros;     // [G][N]; null when symmetric
  const u16 *scales;   // [G][N]
  const int *group_of; // [K]
  u16 *dense;          // out: [N][K]
  i64 n, k;
  int sym_zero;
  int out_bf16, scale_bf16;
  int reserved;
};
static_assert(sizeof(dequantize_args) == 72, "must match DequantizeArgs");

/// Grid: x = ceil(N / 32), y = ceil(K / 32) (65535 at most); 256 threads turn a 32 x 32 tile
/// around.
extern "C" __global__ void __launch_bounds__(256)
    dequantize_dense(const __grid_constant__ dequantize_args args) {
  __shared__ u16 turned[32][33];
  const i64 n0 = (i64)blockIdx.x * 32, k0 = (i64)blockIdx.y * 32;
  const int lane = threadIdx.x % 32, first = threadIdx.x / 32;
  for (int i = first; i < 32; i += 8) {
    const i64 k = k0 + i, n = n0 + lane;
    if (k >= args.k || n >= args.n)
      continue;
    const i64 group = (i64)args.group_of[k] * args.n + n;
    const int zero = args.zeros ? args.zeros[group] : args.sym_zero;
    const float scale =
        args.scale_bf16 ? bf16::to_float(args.scales[group]) : f16::to_float(args.scales[group]);
    const float value = scale * (float)((int)args.codes[k * args.n + n] - zero);
    turned[lane][i] = args.out_bf16 ? bf16::from_float(value) : f16::from_float(value);
  }
  __syncthreads();
  for (int i = first; i < 32; i += 8) {
    const i64 n = n0 + i, k = k0 + lane;
    if (k < args.k && n < args.n)
      args.dense[n * args.k + k] = turned[i][lane];
  }
}
