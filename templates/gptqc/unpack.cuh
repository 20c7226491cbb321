// Codes out of the bit planes of "mma16.v1": for register r of an A fragment of one k16 step, the
// pair of codes (k even in the low half, k odd in the high half), left at a bit position that costs
// no shift.
#ifndef GPTQC_TEMPLATES_UNPACK_CUH
#define GPTQC_TEMPLATES_UNPACK_CUH

#include "gptqc/base.cuh"
#include "gptqc/ptx/lop3.cuh"

namespace gptqc {

/// Which planes a width has: 3 = 2+1, 5 = 4+1, 6 = 4+2, 7 = 4+2+1.
template <int bits, int width> struct has_plane {
  static constexpr bool value = (bits & width) != 0;
};

/// 32-bit words that a lane needs of a plane for `steps` consecutive k16 steps, at least one.
template <int width, int steps> struct plane_words {
  static constexpr int count = steps * width >= 4 ? steps * width / 4 : 1;
};

/// A lane's words of `steps` consecutive k16 steps (a power of two, the first one a multiple of
/// it).
template <int bits, int steps> struct weight_words {
  u32 w8[has_plane<bits, 8>::value ? plane_words<8, steps>::count : 1];
  u32 w4[has_plane<bits, 4>::value ? plane_words<4, steps>::count : 1];
  u32 w2[has_plane<bits, 2>::value ? plane_words<2, steps>::count : 1];
  u32 w1[has_plane<bits, 1>::value ? plane_words<1, steps>::count : 1];
};

/// Where register r's field starts in its 8-bit window of the 2- and 1-bit planes: registers 0, 2,
/// 1, 3.
GPTQC_DEVICE constexpr int pair_position(int r) { return 2 * ((r >> 1) + 2 * (r & 1)); }

/// Where a plane of `width` bits keeps the field of register r for k16 step `slot` of a lane's
/// chunk: which of the four words, and the bit within the half (runtime/core/README.md has the
/// table).
struct field_place {
  int word, bit;
};
GPTQC_DEVICE constexpr field_place place_of_field(int width, int slot, int r) {
  if (width == 8)
    return {2 * slot + (r >> 1), 8 * (r & 1)};
  if (width == 4)
    return {slot, 4 * r};
  if (width == 2)
    return {slot / 2, 8 * (slot & 1) + pair_position(r)};
  return {slot / 4, 8 * (slot / 2 & 1) + (slot & 1) + pair_position(r)};
}

/// Bit position where a code costs no shift, or only one that other registers share.
template <int bits> GPTQC_DEVICE constexpr int code_base(int r) {
  return bits <= 3 ? pair_position(r) : bits <= 6 ? 4 * (r & 1) : 0;
}

/// Bit position of a k16 step within a half of its word of the 2- or 1-bit plane.
template <int width> GPTQC_DEVICE constexpr int slot_position(int step) {
  return width == 2 ? 8 * (step & 1) : 8 * (step >> 1 & 1) + (step & 1);
}

/// The 2- and 1-bit planes together: three bits of register r at its pair position. Those of
/// registers 0 and 1, and of 2 and 3, do not overlap, so one select serves two registers.
template <int bits, int steps>
GPTQC_DEVICE u32 low_fields(const weight_words<bits, steps> &words, int first, int s, int r) {
  const u32 two = shift_left(words.w2[s / 2], -slot_position<2>(first + s));
  const u32 one = shift_left(words.w1[s / 4], 2 - slot_position<1>(first + s));
  return select_bits(r & 2 ? 0x00cc00ccu : 0x00330033u, two, one);
}

/// The codes of register r for step `s` of the words at bit `base` of each half, or-ed into
/// `magic`; `s`, `r` and `base` are constants after unrolling. `first` is the step that the words
/// start at: the 2- and 1-bit planes keep several steps in a word.
template <int bits, int steps>
GPTQC_DEVICE u32 code_pair(const weight_words<bits, steps> &words, int first, int s, int r,
                           int base, u32 magic) {
  constexpr int nibble = bits & 4; // the 2- and 1-bit planes hold the bits above it
  [[maybe_unused]] const int to = base + nibble;
  u32 code = magic;
  if constexpr (bits == 8)
    code = and_or(words.w8[2 * s + (r >> 1)] >> (8 * (r & 1)), 0x00ff00ffu, code);
  if constexpr (has_plane<bits, 4>::value) {
    // Registers 2 and 3 share the shift by 8 when the base leaves them in nibble order.
    const u32 nibbles =
        base == 4 * (r & 1) ? words.w4[s] >> (8 * (r >> 1)) : shift_left(words.w4[s], base - 4 * r);
    code = and_or(nibbles, 0x000f000fu << base, code);
  }
  if constexpr ((bits & 3) == 3) {
    code = and_or(shift_left(low_fields<bits, steps>(words, first, s, r), to - pair_position(r)),
                  0x00070007u << to, code);
  } else if constexpr ((bits & 2) != 0) {
    code = and_or(shift_left(words.w2[s / 2], to - slot_position<2>(first + s) - pair_position(r)),
                  0x00030003u << to, code);
  } else if constexpr ((bits & 1) != 0) {
    code = and_or(shift_left(words.w1[s / 4], to - slot_position<1>(first + s) - pair_position(r)),
                  0x00010001u << to, code);
  }
  return code;
}

} // namespace gptqc

#endif // GPTQC_TEMPLATES_UNPACK_CUH
