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
  static __device__ __forceinline__ void multiply(float (&d)[n / 2], const u32 (&a)[4], u64 b,
                                                  bool accumulate) {
    wgmma_f16<n>(d, a, b, accumulate);
  }
};
template <> struct wgmma_type<bf16> {
  static __device__ __forceinline__ u32 pack(float low, float high) {
    return pack_bf16x2(low, high);
  }
  template <int n>
  static __device__ __forceinline__ void multiply(float (&d)[n / 2], const u32 (&a)[4], u64 b,
                                                  bool accumulate) {
    wgmma_bf16<n>(d, a, b, accumulate);
  }
};

/// Multiplies pairs of (code - zero point) by the scale of their row: one packed multiply when the
/// scales have the type of the activations, else in fp32.
template <typename act, typename scale> struct fragment_scale {
  using prepared = float;
  static __device__ __forceinline__ prepared prepare(u16 bits) { return scale::to_float(bits); }
  static __device__ __forceinline__ u32 apply(u32 pair, prepared s) {
    return wgmma_type<act>::pack(act::to_float((u16)pair) * s,
                                 act::to_float((u16)(pair >> 16)) * s);
  }
};
template <typename type> struct fragment_scale<type, type> {
  using prepared = u32;
  static __device__ __forceinline__ prepared prepare(u16 bits) { return both_halves(bits); }
  static __device__ __forceinline__ u32 apply(u32 pair, prepared s) { return type::mul2(pair, s); }
};
#if __CUDA_ARCH__ >= 800 // has bf16 arithmetic; older targets include this file, too
/// An f16 scale is the sum of two bf16: high + low, which has three bits. The product with low is
/// exact for codes of up to 5 bits, so that the result is the rounded product.
template <> struct fragment_scale<bf16, f16> {
  struct prepared {
    u32 high, low;
  };
  static __device__ __forceinline__ prepared prepare(u16 bits) {
    const float s = f16::to_float(bits);
    const u32 high = pack_bf16x2(s, s);
    const float rest = s - __uint_as_float(high & 0xffff0000u);
    return {high, pack_bf16x2(rest, rest)};
  }
  static __device__ __forceinline__ u32 apply(u32 pair, const prepared &s) {
    return fma_bf16x2(pair, s.high, bf16::mul2(pair, s.low));
  }
};
#endif

/// A scale that multiplies sums. One scale for all of k must: rounded into the weights it would
/// shift all of a row's products alike, and the errors would add up.
template <typename scale> struct late_scale {
  using prepared = float;
  static __device__ __forceinline__ prepared prepare(u16 bits) { return scale::to_float(bits); }
  static __device__ __forceinline__ u32 apply(u32 pair, prepared) { return pair; }
};

template <bool condition, typename a, typename b> struct either {
  using type = a;
};
template <typename a, typename b> struct either<false, a, b> {
  using type = b;
};

/// What a consumer carries from block to block of k. Fragments are made one block ahead of the
/// products that use them, while those of the block run; the words they are made of are read one
/// block earlier still.
template <typename layer, typename tile> struct wgmma_consumer {
  using plan = wgmma_plan<layer, tile>;
  using act = typename layer::act;
  /// Whether the four steps of a block always share their scales.
  static constexpr bool one_row = !layer::ragged && layer::group_steps % 4 == 0;
  static constexpr int rows = one_row ? 1 : 4;
  static constexpr int unit_slots = plan::unit_blocks / plan::x_blocks; // of X
  static constexpr bool scales_late = !layer::ragged && layer::padded_groups == 1;
  using scaling =
      typename either<scales_late || plan::scales_sums, late_scale<typename layer::scale>,
                      fragment_scale<act, typename layer::scale>>::type;
  wgmma_ring<layer, tile> ring;
  wgmma_stream<layer, tile> stream;
  ring_cursor<plan::x_slots> x; // the slot of this warpgroup's next block of k
  int used;                     // the slot before, -1 at first
  int item;                     // the next one
  int begin;                    // first round of the current one
  weight_words<layer::bits, 4> words[plan::fragments];
  typename scaling::prepared scales[plan::fragments][rows][2]; // of rows r and r + 8
  u32 zeros[plan::fragments][rows][2];
  u32 a[2][plan::fragments][4][4];
  // If scales multiply sums: those of the group, and its scales.
  float parts[plan::fragments][plan::scales_sums ? tile::m / 2 : 1];
  float part_scales[plan::fragments][2];

  /// Waits for the ring of X to exist when the stream of weights has started.
  __device__ __forceinline__ wgmma_consumer(u8 *shared, const linear_args &args)
      : ring(shared), stream(shared, args), used(-1), item(first_item<tile>()) {
    x.advance(stream.k_group * unit_slots);
    wgmma_begin<layer, tile>(false);
  }

  __device__ __forceinline__ int first_round() const { return begin; }
  __device__ __forceinline__ int last_round() const { return stream.last; }

  /// Reads the words, scales and zero points of block `i` of the unit of round `kt`.
  __device__ __forceinline__ void load_block(const linear_args &args, int kt, int i) {
    const u8 *unit = i == 0 ? stream.open(args) : stream.current();
#pragma unroll
    for (int f = 0; f < plan::fragments; ++f, unit += plan::unit_bytes) {
      load_weights<layer, wgmma_unit<tile>, 4>(words[f], unit - lane_id() * 16, 0, i * 4);
      if (one_row && stream.fixed_rows && i * 4 % layer::group_steps != 0)
        continue; // the group of the block before
#pragma unroll
      for (int r = 0; r < rows; ++r) {
        const int row = stream.scale_row(args, kt, i * 4 + r);
        const u16 *scale = (const u16 *)(unit + stream.row_at + plan::scales_at) + row * 16;
#pragma unroll
        for (int half = 0; half < 2; ++half)
          scales[f][r][half] = scaling::prepare(scale[8 * half]);
        if constexpr (!layer::sym) {
          const u8 *zero = unit - lane_id() * 16 + plan::zeros_at + row * 16 + lane_id() / 4;
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
#pragma unroll
      for (int r = 0; r < 4; ++r)
        to[f][s][r] = scaling::apply(to[f][s][r], scales[f][row][r & 1]);
    }
  }

  /// Gives a slot of X back to those who load it.
  __device__ __forceinline__ void release_x(int slot) {
    const int lane = lane_id();
    if (lane < tile::multicast) {
      if constexpr (tile::multicast > 1)
        mbarrier_arrive_at(ring.empty(slot), wgmma_place<tile>::split() * tile::multicast + lane);
      else
        mbarrier_arrive(ring.empty(slot));
    }
  }

  /// The slot of X of block `i` of the round, where slots that no round wraps in are an offset.
  __device__ __forceinline__ int slot_of(int i) const {
    return plan::whole_rounds ? x.slot + i / plan::x_blocks : x.slot;
  }
  /// Whether block `i` of the round is the last one of its slot of X.
  static __device__ __forceinline__ constexpr bool ends_slot(int i) {
    return (i + 1) % plan::x_blocks == 0;
  }
  /// To the next slot, behind the last block `i` of one.
  __device__ __forceinline__ void advance_x(int i) {
    constexpr int others = (plan::k_groups - 1) * unit_slots;
    if (i == plan::unit_blocks - 1)
      x.advance((plan::whole_rounds ? unit_slots : 1) + others);
    else if (!plan::whole_rounds)
      x.advance();
  }

  /// Before the first round of an item. One without work for this warpgroup has no rounds: its X
  /// passes by.
  __device__ __forceinline__ void start(const linear_args &args) {
    const bool works = item < stream.items;
    item += item_step<tile>();
    begin = works ? stream.first : stream.last;
    if (!works) {
      pass_x();
      return;
    }
    load_block(args, stream.first, 0);
    next_group();
#pragma unroll
    for (int s = 0; s < 4; ++s)
      dequantize_step(a[0], s);
    load_block(args, stream.first, 1);
  }

  __device__ __forceinline__ void pass_x() {
    for (int kt = stream.first; kt < stream.last; ++kt)
      for (int i = plan::x_blocks - 1; i < plan::unit_blocks; i += plan::x_blocks) {
        mbarrier_wait(ring.full(slot_of(i)), x.parity);
        release_x(slot_of(i));
        advance_x(i);
      }
  }

  /// Whether block `i` of a round, which has whole groups, is the last one of its group.
  static __device__ __forceinline__ constexpr bool ends_group(int i) {
    return (i + 1) * 4 % max_of(1, layer::group_steps) == 0;
  }
  /// Keeps the scales that were read last: those of the block behind the one in flight.
  __device__ __forceinline__ void next_group() {
    if constexpr (plan::scales_sums) {
#pragma unroll
      for (int f = 0; f < plan::fragments; ++f)
        part_scales[f][0] = scales[f][0][0], part_scales[f][1] = scales[f][0][1];
    }
  }
  /// Waits for the products of a group and adds their scaled sums.
  __device__ __forceinline__ void add_group(float (&sums)[plan::fragments][tile::m / 2]) {
    wgmma_wait<0>();
#pragma unroll
    for (int f = 0; f < plan::fragments; ++f) {
      wgmma_pin(parts[f]);
#pragma unroll
      for (int i = 0; i < tile::m / 2; ++i)
        sums[f][i] += part_scales[f][i % 4 / 2] * parts[f][i];
    }
    next_group();
  }

  /// Starts the products of block `i` of a round with the X that `b` describes.
  __device__ __forceinline__ void start_products(float (&sums)[plan::fragments][tile::m / 2], int i,
                                                 u64 b) {
#pragma unroll
    for (int s = 0; s < 4; ++s)
#pragma unroll
      for (int f = 0; f < plan::fragments; ++f) {
        const u32(&weights)[4] = a[i & 1][f][s];
        if constexpr (plan::scales_sums) {
          const bool begins = s == 0 && ends_group(i - 1);
          wgmma_type<act>::template multiply<tile::m>(parts[f], weights, b + 2 * s, !begins);
        } else {
          wgmma_type<act>::template multiply<tile::m>(sums[f], weights, b + 2 * s, true);
        }
      }
  }

  /// sums[f] += W X for the unit of round `kt`. May return with products in flight.
  __device__ __forceinline__ void round(float (&sums)[plan::fragments][tile::m / 2],
                                        const linear_args &args, int kt) {
    u64 b = wgmma_descriptor(ring.slot(x.slot));
#pragma unroll
    for (int i = 0; i < plan::unit_blocks; ++i) {
      const int slot = slot_of(i);
      const bool opens_slot = i % plan::x_blocks == 0;
      if (opens_slot)
        mbarrier_wait(ring.full(slot), x.parity);
      wgmma_fence();
      start_products(sums, i, b);
      wgmma_commit();
      wgmma_wait<1>(); // the block before: its fragments are free
#pragma unroll
      for (int s = 0; s < 4; ++s)
        dequantize_step(a[(i + 1) & 1], s);
      if (opens_slot && (i > 0 || used >= 0))
        release_x(used);
      used = slot;
      if (ends_slot(i))
        advance_x(i);
      if (plan::whole_rounds || !ends_slot(i))
        b += plan::x_block_bytes / 16;
      else if (i + 1 < plan::unit_blocks)
        b = wgmma_descriptor(ring.slot(x.slot));
      if constexpr (plan::scales_sums)
        if (ends_group(i))
          add_group(sums);
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
    if constexpr (scales_late) {
#pragma unroll
      for (int f = 0; f < plan::fragments; ++f)
#pragma unroll
        for (int i = 0; i < tile::m / 2; ++i)
          sums[f][i] *= scales[f][0][i % 4 / 2];
    }
    if (used >= 0)
      release_x(used);
    used = -1;
  }
};

} // namespace gptqc

#endif // GPTQC_TEMPLATES_WGMMA_MULTIPLY_CUH
