// Repacks a layer's weights and scales into "mma16.v1" on the GPU: one thread builds one 16-byte
// chunk of a plane. The host packer (runtime/core/WeightLayout.cpp) defines the result byte for
// byte.
#include "gptqc/base.cuh"
#include "gptqc/unpack.cuh"

using namespace gptqc;

struct repack_args {
  const u8 *source; // kind 0: codes u8 [K][N]; 1: continuous words, 2: planar words, [K*bits/32][N]
  const int *perm;  // [Kp] source column or -1
  const int *group_of; // [Kp/16]
  const u8 *zeros;     // [G][N]; null when symmetric
  u8 *weights;         // out: planes, widest first
  i64 n, k, padded_n, padded_k;
  int groups;
  int bits;
  int parts; // 2: gate and up rows, padded apart
  int kind;
};
static_assert(sizeof(repack_args) == 88, "must match RepackArgs");

struct repack_scales_args {
  const u16 *scales;  // [G][N]
  const u8 *zeros;    // [G][N]; null when symmetric
  u16 *packed_scales; // out: [Np/16][Gp][16]
  u8 *packed_zeros;   // out: the same shape; null when symmetric
  i64 n, padded_n;
  int groups, padded_groups;
  int parts;
  int padding; // zero point of rows and groups that do not exist
};
static_assert(sizeof(repack_scales_args) == 64, "must match RepackScalesArgs");

/// Row of the layer behind packed row `row`, or -1 for padding.
GPTQC_DEVICE i64 source_row(i64 row, i64 n, i64 padded_n, int parts) {
  const i64 per_part = padded_n / parts, within = row % per_part;
  return within < n / parts ? row / per_part * (n / parts) + within : -1;
}

/// Code of (k, n) from 32-bit words that pack along k: `bits` words per 32 codes.
GPTQC_DEVICE u32 code_from_words(const u32 *words, i64 n_count, int bits, bool planar, i64 k,
                                 i64 n) {
  const u32 *block =
      words + k / 32 * bits * n_count + n; // word i of the block is block[i * n_count]
  const int j = (int)(k % 32);
  if (!planar) { // an LSB-first bit stream
    const int bit = j * bits, word = bit / 32, shift = bit % 32;
    u32 value = block[word * n_count] >> shift;
    if (shift + bits > 32)
      value |= block[(word + 1) * n_count] << (32 - shift);
    return value & ((1u << bits) - 1);
  }
  u32 code = 0;
  int offset = 0; // widest plane first, at the low bits of the code
  for (int width = 8; width >= 1; width >>= 1) {
    if (!(bits & width))
      continue;
    const int per_word = 32 / width;
    const u32 value = block[(offset + j / per_word) * n_count] >> (j % per_word * width);
    code |= (value & ((1u << width) - 1)) << offset;
    offset += width;
  }
  return code;
}

extern "C" __global__ void __launch_bounds__(256)
    repack_weights(const __grid_constant__ repack_args args) {
  const i64 chunk_bytes_total = args.padded_n * args.padded_k / 8 * args.bits;
  const i64 index = (i64)blockIdx.x * 256 + threadIdx.x;
  if (index * 16 >= chunk_bytes_total)
    return;
  // Which plane, and where in it.
  int width = 8, shift = 0;
  i64 plane_start = 0;
  for (;; width >>= 1) {
    if (!(args.bits & width))
      continue;
    const i64 bytes = args.padded_n * args.padded_k / 8 * width;
    if (index * 16 < plane_start + bytes)
      break;
    plane_start += bytes;
    shift += width;
  }
  const i64 local = index - plane_start / 16;
  const int lane = (int)(local % 32), steps = 16 / width;
  const i64 chunks = args.padded_k / (16 * steps), chunk = local / 32 % chunks,
            tile = local / 32 / chunks;
  u32 words[4] = {0, 0, 0, 0};
  for (int e = 0; e < 128 / width; ++e) { // codes of this lane: (step, register, half)
    const int slot = e / 8, reg = e / 2 % 4, half = e % 2;
    const i64 row = tile * 16 + lane / 4 + (reg & 1) * 8;
    const i64 kp = (chunk * steps + slot) * 16 + lane % 4 * 2 + (reg >> 1) * 8 + half;
    const i64 n = source_row(row, args.n, args.padded_n, args.parts);
    const int column = args.perm[kp], group = args.group_of[kp / 16];
    u32 code = 1u << (args.bits - 1);
    if (n >= 0 && column >= 0)
      code = args.kind == 0 ? args.source[(i64)column * args.n + n]
                            : code_from_words((const u32 *)args.source, args.n, args.bits,
                                              args.kind == 2, column, n);
    else if (n >= 0 && args.zeros && group < args.groups)
      code = args.zeros[(i64)group * args.n + n];
    const field_place at = place_of_field(width, slot, reg);
    const u32 field = (code >> shift & ((1u << width) - 1)) << (at.bit + 16 * half);
#pragma unroll
    for (int i = 0; i < 4; ++i)
      words[i] |= i == at.word ? field : 0;
  }
  ((u32x4 *)args.weights)[index] = {words[0], words[1], words[2], words[3]};
}

extern "C" __global__ void __launch_bounds__(256)
    repack_scales(const __grid_constant__ repack_scales_args args) {
  const i64 index = (i64)blockIdx.x * 256 + threadIdx.x;
  if (index >= args.padded_n * args.padded_groups)
    return;
  const i64 row = index / 16 / args.padded_groups * 16 + index % 16;
  const i64 group = index / 16 % args.padded_groups;
  const i64 n = source_row(row, args.n, args.padded_n, args.parts);
  const bool exists = n >= 0 && group < args.groups;
  args.packed_scales[index] = exists ? args.scales[group * args.n + n] : (u16)0;
  if (args.packed_zeros)
    args.packed_zeros[index] = exists ? args.zeros[group * args.n + n] : (u8)args.padding;
}
