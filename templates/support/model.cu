// The steps of a decoder other than linear layers: norms, rotary embedding, attention, activation,
// loss. 16-bit activations, fp32 arithmetic, an fp32 residual stream (sm_80+).
#include "gptqc/ptx/block.cuh"
#include "gptqc/ptx/ldmatrix.cuh"
#include "gptqc/ptx/pack.cuh"
#include "gptqc/ptx/warp.cuh"
#include "gptqc/types.cuh"

using namespace gptqc;

/// What all kernels here take; fields that a kernel does not name are ignored. Strides are in
/// elements and multiples of 8, as are head_dim and what the pointers are aligned to.
struct model_args {
  float *residual;     // [rows][columns]
  const u16 *delta;    // [rows][columns] added to the residual first; null: nothing
  const float *weight; // [columns] of a norm, [head_dim] of a head norm; null: ones
  const float *bias;   // [columns]; null: none
  const u16 *x;        // queries, or what is activated
  const u16 *keys;     // or the gate; null: none
  const u16 *values;
  u16 *y;
  const float *cosine, *sine; // [positions][head_dim / 2]; null: no rotation
  const int *targets;         // [rows] of the vocabulary; negative: none
  float *losses;              // [rows]
  i64 x_stride, kv_stride, y_stride;
  i64 kv_rows;   // from one sequence to the next in keys and values
  i64 length;    // tokens of a sequence
  i64 key_count; // keys of a sequence; its last query sees all of them
  i64 window;    // keys that a query sees, itself among them; 0: all before it
  int columns;   // of a row; activation: of y
  int heads, kv_heads, head_dim;
  int activation; // 0: silu, 1: relu, 2: gelu, 3: gelu by tanh
  float epsilon, scale;
  int layer_norm; // else RMS norm
};
static_assert(sizeof(model_args) == 184, "must match ModelArgs");

constexpr u32 kInfinity = 0x7f800000u;
constexpr int kThreads = 128, kTile = 64; // queries and keys of a tile; a warp has 16 queries
constexpr int kMostNormThreads = 1024;    // other kernels have kThreads

GPTQC_DEVICE float warp_sum(float value) {
  for (int mask = 16; mask > 0; mask /= 2)
    value += shuffle_xor(value, mask);
  return value;
}

/// The sum over the block, to all threads. `shared`: a float for each warp.
GPTQC_DEVICE float block_sum(float value, float *shared) {
  value = warp_sum(value);
  block_barrier(); // the sum before this one has been read
  if (lane_id() == 0)
    shared[warp_id()] = value;
  block_barrier();
  float sum = 0;
  for (int w = 0; w < (int)blockDim.x / 32; ++w)
    sum += shared[w];
  return sum;
}

/// residual += delta; y = norm(residual). Either of delta and y may be null. Grid: rows; whole
/// warps, any number.
template <typename type> GPTQC_DEVICE void norm_row(const model_args &args) {
  GPTQC_SHARED_MEMORY(memory);
  float *shared = (float *)memory;
  const int threads = (int)blockDim.x;
  float *row = args.residual + (i64)blockIdx.x * args.columns;
  float sum = 0;
  for (int i = threadIdx.x; i < args.columns; i += threads) {
    float value = row[i];
    if (args.delta) {
      value += type::to_float(args.delta[(i64)blockIdx.x * args.x_stride + i]);
      row[i] = value;
    }
    sum += value;
  }
  if (!args.y)
    return;
  const float mean = args.layer_norm ? block_sum(sum, shared) / (float)args.columns : 0.0f;
  float squares = 0;
  for (int i = threadIdx.x; i < args.columns; i += threads) {
    const float value = row[i] - mean;
    squares += value * value;
  }
  const float factor = rsqrtf(block_sum(squares, shared) / (float)args.columns + args.epsilon);
  for (int i = threadIdx.x; i < args.columns; i += threads) {
    float value = (row[i] - mean) * factor;
    if (args.weight)
      value *= args.weight[i];
    if (args.bias)
      value += args.bias[i];
    args.y[(i64)blockIdx.x * args.y_stride + i] = type::from_float(value);
  }
}

/// In place on y: the RMS norm of each head where there is a weight, then the rotation of elements
/// j and j + head_dim / 2. A warp has a head. Grid: rows x ceil(heads / 4).
template <typename type> GPTQC_DEVICE void rotate_head(const model_args &args) {
  const int head = (int)blockIdx.y * (kThreads / 32) + warp_id(), half = args.head_dim / 2;
  if (head >= args.heads)
    return;
  u16 *low = args.y + (i64)blockIdx.x * args.y_stride + (i64)head * args.head_dim;
  u16 *high = low + half;
  float factor = 1;
  if (args.weight) {
    float squares = 0;
    for (int j = lane_id(); j < half; j += 32) {
      const float a = type::to_float(low[j]), b = type::to_float(high[j]);
      squares += a * a + b * b;
    }
    factor = rsqrtf(warp_sum(squares) / (float)args.head_dim + args.epsilon);
  }
  const i64 angle = (i64)blockIdx.x % args.length * half;
  for (int j = lane_id(); j < half; j += 32) {
    float a = type::to_float(low[j]) * factor, b = type::to_float(high[j]) * factor;
    if (args.weight) {
      a *= args.weight[j];
      b *= args.weight[j + half];
    }
    const float c = args.cosine ? args.cosine[angle + j] : 1.0f;
    const float s = args.cosine ? args.sine[angle + j] : 0.0f;
    low[j] = type::from_float(a * c - b * s);
    high[j] = type::from_float(b * c + a * s);
  }
}

GPTQC_DEVICE float activate(float x, int kind) {
  switch (kind) {
  case 0:
    return x / (1.0f + exp_approx(-x));
  case 1:
    return fmaxf(x, 0.0f);
  case 2:
    return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
  default:
    return 0.5f * x * (1.0f + tanhf(0.7978845608028654f * (x + 0.044715f * x * x * x)));
  }
}

/// y = act(x), or act(gate) * x where there is a gate (in `keys`). Grid: rows x any.
template <typename type> GPTQC_DEVICE void activate_row(const model_args &args) {
  const u16 *x = args.x + (i64)blockIdx.x * args.x_stride;
  const u16 *gate = args.keys + (i64)blockIdx.x * args.kv_stride;
  u16 *y = args.y + (i64)blockIdx.x * args.y_stride;
  const int first = (int)blockIdx.y * kThreads + threadIdx.x, step = (int)gridDim.y * kThreads;
  for (int i = first; i < args.columns; i += step) {
    const float value = type::to_float(x[i]);
    const float result = args.keys ? activate(type::to_float(gate[i]), args.activation) * value
                                   : activate(value, args.activation);
    y[i] = type::from_float(result);
  }
}

/// y += bias. Grid: rows x any.
template <typename type> GPTQC_DEVICE void add_bias(const model_args &args) {
  u16 *y = args.y + (i64)blockIdx.x * args.y_stride;
  const int first = (int)blockIdx.y * kThreads + threadIdx.x, step = (int)gridDim.y * kThreads;
  for (int i = first; i < args.columns; i += step)
    y[i] = type::from_float(type::to_float(y[i]) + args.bias[i]);
}

/// -log softmax(row)[target] of logits in `residual`; 0 without a target. Grid: rows.
extern "C" __global__ void __launch_bounds__(kThreads)
    loss(const __grid_constant__ model_args args) {
  GPTQC_SHARED_MEMORY(memory);
  float *shared = (float *)memory;
  const float *row = args.residual + (i64)blockIdx.x * args.columns;
  const int target = args.targets[blockIdx.x];
  float most = row[0]; // any element will do for a start
  for (int i = threadIdx.x; i < args.columns; i += kThreads)
    most = fmaxf(most, row[i]);
  for (int mask = 16; mask > 0; mask /= 2)
    most = fmaxf(most, shuffle_xor(most, mask));
  if (lane_id() == 0)
    shared[warp_id()] = most;
  block_barrier();
  for (int w = 0; w < kThreads / 32; ++w)
    most = fmaxf(most, shared[w]);
  float sum = 0;
  for (int i = threadIdx.x; i < args.columns; i += kThreads)
    sum += exp_approx(row[i] - most);
  sum = block_sum(sum, shared);
  if (threadIdx.x == 0)
    args.losses[blockIdx.x] = target < 0 ? 0.0f : logf(sum) + (most - row[target]);
}

template <typename type> GPTQC_DEVICE u32 pack2(float low, float high) {
  if constexpr (type::is_bf16)
    return pack_bf16x2(low, high);
  else
    return pack_f16x2(low, high);
}

/// A tile of rows of one head in shared memory; rows are 16 bytes apart modulo 128, which keeps
/// ldmatrix free of bank conflicts. Rows from `count` on and columns from head_dim on are zeros.
template <int dim> struct head_tile {
  static constexpr int stride = dim + 8;
  static constexpr int bytes = kTile * stride * 2;

  static __device__ __forceinline__ void load(u16 *tile, const u16 *source, i64 source_stride,
                                              i64 count, int head_dim) {
    for (int i = threadIdx.x; i < kTile * dim / 8; i += kThreads) {
      const int row = i / (dim / 8), column = i % (dim / 8) * 8;
      u32x4 piece = {0, 0, 0, 0};
      if (row < count && column < head_dim)
        piece = *(const u32x4 *)(source + row * source_stride + column);
      *(u32x4 *)(tile + row * stride + column) = piece;
    }
  }
};

/// Causal attention with running maximum and sum (Milakov and Gimelshein 2018; Dao et al. 2022).
/// Grid: ceil(length / 64) x heads x sequences; shared: three head tiles.
template <typename type, int dim> GPTQC_DEVICE void attend(const model_args &args) {
  GPTQC_SHARED_MEMORY(memory);
  using tile = head_tile<dim>;
  u16 *queries = (u16 *)memory, *keys = queries + kTile * tile::stride;
  u16 *values = keys + kTile * tile::stride;
  const int lane = lane_id(), group = lane / 4, quad = lane % 4;
  const i64 query0 = ((i64)gridDim.x - 1 - blockIdx.x) * kTile; // the longest come first
  const i64 sequence = blockIdx.z, behind = args.key_count - args.length;
  const i64 kv_column = (i64)(blockIdx.y / (args.heads / args.kv_heads)) * args.head_dim;
  const u16 *key_rows = args.keys + sequence * args.kv_rows * args.kv_stride + kv_column;
  const u16 *value_rows = args.values + sequence * args.kv_rows * args.kv_stride + kv_column;
  const i64 first_row = sequence * args.length + query0, column = (i64)blockIdx.y * args.head_dim;
  tile::load(queries, args.x + first_row * args.x_stride + column, args.x_stride,
             args.length - query0, args.head_dim);

  // Position of this lane's two rows among the keys.
  const i64 row = query0 + warp_id() * 16 + group;
  const i64 at[2] = {behind + row, behind + row + 8};
  float out[dim / 8][4], sum[2] = {0, 0};
  const float nothing = -__uint_as_float(kInfinity);
  float largest[2] = {nothing, nothing};
  for (int j = 0; j < dim / 8; ++j)
    for (int i = 0; i < 4; ++i)
      out[j][i] = 0;

  const i64 last = min_of(behind + query0 + kTile, args.key_count);
  const i64 seen = args.window > 0 ? max_of(behind + query0 + 1 - args.window, (i64)0) : 0;
  for (i64 key0 = seen / kTile * kTile; key0 < last; key0 += kTile) {
    block_barrier(); // the tiles before have been read
    tile::load(keys, key_rows + key0 * args.kv_stride, args.kv_stride, args.key_count - key0,
               args.head_dim);
    tile::load(values, value_rows + key0 * args.kv_stride, args.kv_stride, args.key_count - key0,
               args.head_dim);
    block_barrier();
    float scores[kTile / 8][4];
    for (int j = 0; j < kTile / 8; ++j)
      for (int i = 0; i < 4; ++i)
        scores[j][i] = 0;
#pragma unroll
    for (int d = 0; d < dim; d += 16) {
      u32 a[4];
      ldmatrix_x4(a, queries + (warp_id() * 16 + lane % 16) * tile::stride + d + lane / 16 * 8);
#pragma unroll
      for (int j = 0; j < kTile / 8; j += 2) {
        u32 b[4];
        ldmatrix_x4(b, keys + (j * 8 + lane / 16 * 8 + lane % 8) * tile::stride + d +
                           lane / 8 % 2 * 8);
        const u32 low[2] = {b[0], b[1]}, high[2] = {b[2], b[3]};
        type::mma(scores[j], a, low);
        type::mma(scores[j + 1], a, high);
      }
    }
    float scale_of[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float most = largest[r];
#pragma unroll
      for (int j = 0; j < kTile / 8; ++j)
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          const i64 key = key0 + j * 8 + quad * 2 + h;
          const bool hidden = key > at[r] || key >= args.key_count ||
                              (args.window > 0 && key <= at[r] - args.window);
          float &score = scores[j][r * 2 + h];
          score = hidden ? nothing : score * args.scale;
          most = fmaxf(most, score);
        }
      most = fmaxf(most, shuffle_xor(most, 1));
      most = fmaxf(most, shuffle_xor(most, 2));
      const float base = most == nothing ? 0.0f : most; // no key seen yet
      scale_of[r] = exp_approx(largest[r] - base);
      largest[r] = most;
      float part = 0;
#pragma unroll
      for (int j = 0; j < kTile / 8; ++j)
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          float &score = scores[j][r * 2 + h];
          score = exp_approx(score - base);
          part += score;
        }
      sum[r] = sum[r] * scale_of[r] + part;
    }
#pragma unroll
    for (int j = 0; j < dim / 8; ++j)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        out[j][i] *= scale_of[i / 2];
#pragma unroll
    for (int k = 0; k < kTile; k += 16) {
      const float (&s)[4] = scores[k / 8], (&t)[4] = scores[k / 8 + 1];
      const u32 a[4] = {pack2<type>(s[0], s[1]), pack2<type>(s[2], s[3]), pack2<type>(t[0], t[1]),
                        pack2<type>(t[2], t[3])};
#pragma unroll
      for (int j = 0; j < dim / 8; j += 2) {
        u32 b[4];
        ldmatrix_x4_transposed(b, values + (k + lane % 16) * tile::stride + (j + lane / 16) * 8);
        const u32 low[2] = {b[0], b[1]}, high[2] = {b[2], b[3]};
        type::mma(out[j], a, low);
        type::mma(out[j + 1], a, high);
      }
    }
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    sum[r] += shuffle_xor(sum[r], 1);
    sum[r] += shuffle_xor(sum[r], 2);
    if (row + r * 8 >= args.length)
      continue;
    const float inverse = 1.0f / sum[r];
    u16 *y = args.y + (first_row + warp_id() * 16 + group + r * 8) * args.y_stride + column;
#pragma unroll
    for (int j = 0; j < dim / 8; ++j)
      if (j * 8 < args.head_dim)
        *(u32 *)(y + j * 8 + quad * 2) =
            pack2<type>(out[j][r * 2] * inverse, out[j][r * 2 + 1] * inverse);
  }
}

struct half_type : f16 {
  static constexpr bool is_bf16 = false;
};
struct brain_type : bf16 {
  static constexpr bool is_bf16 = true;
};

#define GPTQC_MODEL_KERNEL(name, call, threads)                                                    \
  extern "C" __global__ void __launch_bounds__(threads)                                            \
      name(const __grid_constant__ model_args args) {                                              \
    call(args);                                                                                    \
  }
#define GPTQC_MODEL_KERNELS(suffix, type)                                                          \
  GPTQC_MODEL_KERNEL(norm_##suffix, norm_row<type>, kMostNormThreads)                              \
  GPTQC_MODEL_KERNEL(rotate_##suffix, rotate_head<type>, kThreads)                                 \
  GPTQC_MODEL_KERNEL(activate_##suffix, activate_row<type>, kThreads)                              \
  GPTQC_MODEL_KERNEL(bias_##suffix, add_bias<type>, kThreads)                                      \
  GPTQC_MODEL_KERNEL(attend64_##suffix, (attend<type, 64>), kThreads)                              \
  GPTQC_MODEL_KERNEL(attend128_##suffix, (attend<type, 128>), kThreads)                            \
  GPTQC_MODEL_KERNEL(attend256_##suffix, (attend<type, 256>), kThreads)

GPTQC_MODEL_KERNELS(f16, half_type)
GPTQC_MODEL_KERNELS(bf16, brain_type)
