// The pure-read kernel: how long the bytes of a problem take to arrive, the floor of every small-M
// time.
#include "gptqc/ptx/load_streaming.cuh"

using namespace gptqc;

struct read_floor_args {
  const u32x4 *data; // 16-byte aligned
  i64 count;         // of 16-byte units
  u32 *sink; // one word, written only if the xor of everything is one value: keeps the loads alive
};
static_assert(sizeof(read_floor_args) == 24, "must match ReadFloorArgs");

/// Any grid and block size; grid-stride with four loads in flight per thread.
extern "C" __global__ void read_floor(const __grid_constant__ read_floor_args args) {
  const i64 stride = (i64)gridDim.x * blockDim.x;
  i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
  u32 sum = 0;
  for (; i + 3 * stride < args.count; i += 4 * stride) {
    const u32x4 a = load_streaming(args.data + i), b = load_streaming(args.data + i + stride);
    const u32x4 c = load_streaming(args.data + i + 2 * stride),
                d = load_streaming(args.data + i + 3 * stride);
    sum ^= a.x ^ b.x ^ c.x ^ d.x ^ a.y ^ b.y ^ c.y ^ d.y ^ a.z ^ b.z ^ c.z ^ d.z ^ a.w ^ b.w ^ c.w ^
           d.w;
  }
  for (; i < args.count; i += stride) {
    const u32x4 a = load_streaming(args.data + i);
    sum ^= a.x ^ a.y ^ a.z ^ a.w;
  }
  if (sum == 0x12345678u)
    *args.sink = sum;
}
