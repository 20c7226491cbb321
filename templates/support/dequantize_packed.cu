// Packed weights to a dense matrix [N][K] in the activation type: what gradients with respect to X
// multiply with.
#include "gptqc/types.cuh"
#include "gptqc/unpack.cuh"

using namespace gptqc;

struct dequantize_packed_args {
  const u8 *weights;   // "mma16.v1", planes widest first
  const u16 *scales;   // [Np/16][Gp][16]
  const u8 *zeros;     // [Np/16][Gp][16]; null when symmetric
  const int *group_of; // [Kp/16]; null unless ragged
  const int *perm;     // [Kp] column or -1; null when it is the identity
  u16 *dense;          // out: [N][K]
  i64 n, k, padded_n, padded_k;
  int bits;
  int parts; // 2: gate and up rows, padded apart
  int padded_groups, padded_group_size;
  int sym_zero;
  int out_bf16, scale_bf16;
  int reserved;
};
static_assert(sizeof(dequantize_packed_args) == 112, "must match DequantizePackedArgs");

/// The code of packed (row, kp), its planes put together.
GPTQC_DEVICE int code_of_packed(const u8 *weights, int bits, i64 plane_codes, i64 padded_k, i64 row,
                                i64 kp) {
  // Which lane and register of the fragment hold it.
  const int in_row = (int)(row % 16), in_k = (int)(kp % 16);
  const int lane = in_row % 8 * 4 + in_k % 8 / 2, reg = in_row / 8 + in_k / 8 * 2, half = in_k % 2;
  const u32 *plane = (const u32 *)weights;
  int code = 0, shift = 0;
  for (int width = 8; width >= 1; width >>= 1) {
    if (!(bits & width))
      continue;
    const int steps = 16 / width;
    const i64 step = kp / 16, chunk = (row / 16) * (padded_k / (16 * steps)) + step / steps;
    const field_place at = place_of_field(width, (int)(step % steps), reg);
    const u32 word = plane[(chunk * 32 + lane) * 4 + at.word];
    code |= (int)(word >> (at.bit + 16 * half) & ((1u << width) - 1)) << shift;
    shift += width;
    plane += plane_codes / 32 * width;
  }
  return code;
}

/// Grid: x = ceil(Kp / 256), y = ceil(N / 16) (65535 at most); a block makes 16 rows of W at a
/// time, a thread one column of them.
extern "C" __global__ void __launch_bounds__(256)
    dequantize_packed(const __grid_constant__ dequantize_packed_args args) {
  const i64 kp = (i64)blockIdx.x * 256 + threadIdx.x;
  if (kp >= args.padded_k)
    return;
  const i64 column = args.perm ? args.perm[kp] : kp;
  if (column < 0 || column >= args.k)
    return;
  const i64 group = args.group_of ? args.group_of[kp / 16] : kp / args.padded_group_size;
  const i64 rows = args.n / args.parts, padded_rows = args.padded_n / args.parts;
  for (i64 first = (i64)blockIdx.y * 16; first < args.n; first += (i64)gridDim.y * 16)
    for (i64 n = first; n < first + 16 && n < args.n; ++n) {
      const i64 row = n / rows * padded_rows + n % rows;
      const i64 at = (row / 16 * args.padded_groups + group) * 16 + row % 16;
      const float scale =
          args.scale_bf16 ? bf16::to_float(args.scales[at]) : f16::to_float(args.scales[at]);
      const int code = code_of_packed(args.weights, args.bits, args.padded_n * args.padded_k,
                                      args.padded_k, row, kp);
      const float value = scale * (float)(code - (args.zeros ? args.zeros[at] : args.sym_zero));
      args.dense[n * args.k + column] =
          args.out_bf16 ? bf16::from_float(value) : f16::from_float(value);
    }
}
