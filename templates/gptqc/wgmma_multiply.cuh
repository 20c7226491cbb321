// The consumers of the wgmma family: weights from shared memory to scaled register fragments, and
// the products with X, while the next fragments are made.
#ifndef GPTQC_TEMPLATES_WGMMA_MULTIPLY_CUH
#define GPTQC_TEMPLATES_WGMMA_MULTIPLY_CUH

#include "gptqc/fragment.cuh"
#include "gptqc/ptx/pack.cuh"
#include "gptqc/ptx/warp.cuh"
#include "gptqc/ptx/wgmma.cuh"
#include "gptqc/wgmma_copy.cuh"

namespace gptqc {

/// wgmma and packing by element type.
template <typename type> struct wgmma_type;
template <> struct wgmma_type<f16> {
  static __device__ __forceinline__ u32 pack(float low, float high) {
    return pack_f16x2(low, high);
  }
  template <int n>
  static __device__ __forceinline__ void multiply(float (&d)[n / 2], const u32 (&a)[4], u64 b) {
    wgmma_f16<n>(d, a, b, true);
  }
};
template <> struct wgmma_type<bf16> {
  static __device__ __forceinline__ u32 pack(float low, float high) {
    return pack_bf16x2(low, high);
  }
  template <int n>
  static __device__ __forceinline__ void multiply(float (&d)[n / 2], const u32 (&a)[4], u64 b) {
    wgmma_bf16<n>(d, a, b, true);
  }
};

template <typename a, typename b> struct same_type {
  static constexpr bool value = false;
};
template <typename a> struct same_type<a, a> {
  static constexpr bool value = true;
};

/// Multiplies pairs of (code - zero point) by the scale of their row: one packed multiply when the
/// scales have the type of the activations, else in fp32.
template <typename act, typename scale> struct fragment_scale {
  static constexpr bool packed = same_type<act, scale>::value;
  static __device__ __forceinline__ u32 prepare(u16 bits) {
    return packed ? both_halves(bits) : __float_as_uint(scale::to_float(bits));
  }
  static __device__ __forceinline__ u32 apply(u32 pair, u32 prepared) {
    if constexpr (packed) {
      return act::mul2(pair, prepared);
    } else {
      const float s = __uint_as_float(prepared);
      return wgmma_type<act>::pack(act::to_float((u16)pair) * s,
                                   act::to_float((u16)(pair >> 16)) * s);
    }
  }
};

/// What a consumer carries from block to block of k. Fragments are made one block ahead of the
/// products that use them, half a block at a time between the wgmma; the words they are made of are
/// read one block earlier still.
template <typename layer, typename tile> struct wgmma_consumer {
  using plan = wgmma_plan<layer, tile>;
  using act = typename layer::act;
  /// Whether the four steps of a block always share their scales.
  static constexpr bool one_row = !layer::ragged && layer::group_steps % 4 == 0;
  static constexpr int rows = one_row ? 1 : 4;
  /// One scale for all of k multiplies the sums. Rounded into the weights it would shift all of a
  /// row's products alike, and the errors would add up.
  static constexpr bool late_scale = !layer::ragged && layer::padded_groups == 1;
  using scaling = fragment_scale<act, typename layer::scale>;
  wgmma_ring<layer, tile> ring;
  wgmma_stream<layer, tile> stream;
  ring_cursor<tile::stages> x; // the next block of k of this warpgroup
  int used;                    // slot of X that the block before read, -1 at first
  weight_words<layer::bits, 4> words[plan::fragments];
  u32 scales[plan::fragments][rows][2], zeros[plan::fragments][rows][2]; // rows r and r + 8
  u32 a[2][plan::fragments][4][4];

  /// Takes the registers that the feeding warpgroup gave up and starts to copy weights, then waits
  /// for the ring of X to exist.
  __device__ __forceinline__ wgmma_consumer(u8 *shared, const linear_args &args)
      : ring(shared), stream(shared, args), used(-1) {
    x.advance(stream.k_group * plan::unit_blocks);
    wgmma_begin<layer, tile>();
  }

  __device__ __forceinline__ int first_round() const { return stream.first; }
  __device__ __forceinline__ int last_round() const { return stream.last; }

  /// Reads the words, scales and zero points of block `i` of the unit of round `kt`.
  __device__ __forceinline__ void load_block(const linear_args &args, int kt, int i) {
    const u8 *unit = i == 0 ? stream.open(args) : stream.current();
#pragma unroll
    for (int f = 0; f < plan::fragments; ++f, unit += plan::unit_bytes) {
      load_weights<layer, wgmma_unit<tile>, 4>(words[f], unit, 0, i * 4);
#pragma unroll
      for (int r = 0; r < rows; ++r) {
        const int row = stream.scale_row(args, kt, i * 4 + r);
        const u16 *scale = (const u16 *)(unit + plan::scales_at) + row * 16 + lane_id() / 4;
#pragma unroll
        for (int half = 0; half < 2; ++half)
          scales[f][r][half] = late_scale ? __float_as_uint(layer::scale::to_float(scale[8 * half]))
                                          : scaling::prepare(scale[8 * half]);
        if constexpr (!layer::sym) {
          const u8 *zero = unit + plan::zeros_at + row * 16 + lane_id() / 4;
          zeros[f][r][0] = zero[0];
          zeros[f][r][1] = zero[8];
        }
      }
    }
    if (i == plan::unit_blocks - 1)
      stream.close();
  }

  /// Fragments of step `s` of the loaded block.
  __device__ __forceinline__ void dequantize_step(u32 (&to)[plan::fragments][4][4], int s) {
    const int row = one_row ? 0 : s;
#pragma unroll
    for (int f = 0; f < plan::fragments; ++f) {
      constexpr u32 middle = 1u << (layer::bits - 1);
      const zero_addends<layer::bits> addends = dequantizer<layer::bits, act>::addends(
          layer::sym ? middle : zeros[f][row][0], layer::sym ? middle : zeros[f][row][1]);
      dequantize<layer::bits, act, 4>(to[f][s], words[f], addends, 0, s);
      if constexpr (!late_scale) {
#pragma unroll
        for (int r = 0; r < 4; ++r)
          to[f][s][r] = scaling::apply(to[f][s][r], scales[f][row][r & 1]);
      }
    }
  }

  /// Gives the slot of X that finished wgmma read back to those who load it.
  __device__ __forceinline__ void release_x() {
    const int lane = lane_id();
    if (used >= 0 && lane < tile::multicast) {
      if constexpr (tile::multicast > 1)
        mbarrier_arrive_at(ring.empty(used), wgmma_place<tile>::split() * tile::multicast + lane);
      else
        mbarrier_arrive(ring.empty(used));
    }
  }

  /// Before the first round of an item.
  __device__ __forceinline__ void start(const linear_args &args) {
    load_block(args, stream.first, 0);
#pragma unroll
    for (int s = 0; s < 4; ++s)
      dequantize_step(a[0], s);
    load_block(args, stream.first, 1);
  }

  /// sums[f] += W X for the unit of round `kt`; `last` ends the item's rounds. Returns with
  /// products in flight.
  __device__ __forceinline__ void round(float (&sums)[plan::fragments][tile::m / 2],
                                        const linear_args &args, int kt) {
#pragma unroll
    for (int i = 0; i < plan::unit_blocks; ++i) {
      mbarrier_wait(ring.full(x.slot), x.parity);
      const u64 b = wgmma_descriptor(ring.slot(x.slot));
#pragma unroll
      for (int half = 0; half < 4; half += 2) {
        wgmma_fence();
#pragma unroll
        for (int s = half; s < half + 2; ++s)
#pragma unroll
          for (int f = 0; f < plan::fragments; ++f)
            wgmma_type<act>::template multiply<tile::m>(sums[f], a[i & 1][f][s], b + 2 * s);
        wgmma_commit();
        wgmma_wait<2>(); // this half of the block before: its fragments are free
        dequantize_step(a[(i + 1) & 1], half);
        dequantize_step(a[(i + 1) & 1], half + 1);
      }
      release_x();
      used = x.slot;
      x.advance(i == plan::unit_blocks - 1 ? 1 + (plan::k_groups - 1) * plan::unit_blocks : 1);
      if (i + 2 < plan::unit_blocks)
        load_block(args, kt, i + 2);
      else if (kt + 1 < stream.last)
        load_block(args, kt + 1, i + 2 - plan::unit_blocks);
    }
  }

  /// Waits for the last products of an item; a scale of all k comes last.
  __device__ __forceinline__ void finish(float (&sums)[plan::fragments][tile::m / 2]) {
    wgmma_wait<0>();
#pragma unroll
    for (int f = 0; f < plan::fragments; ++f)
      wgmma_pin(sums[f]);
    if constexpr (late_scale) {
#pragma unroll
      for (int f = 0; f < plan::fragments; ++f)
#pragma unroll
        for (int i = 0; i < tile::m / 2; ++i)
          sums[f][i] *= __uint_as_float(scales[f][0][i % 4 / 2]);
    }
    release_x();
    used = -1;
  }
};

} // namespace gptqc

#endif // GPTQC_TEMPLATES_WGMMA_MULTIPLY_CUH
