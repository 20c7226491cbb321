// The two ways in which GPTQ files pack codes into 32-bit words, and the conventions of their zero
// points. One table of bit pieces describes every width of both packings; packers and unpackers
// walk it.
#ifndef GPTQC_RUNTIME_CHECKPOINT_GPTQWORDS_H
#define GPTQC_RUNTIME_CHECKPOINT_GPTQWORDS_H

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/core/Status.h"

namespace gptqc {

/// Continuous: 32 codes are one little-endian bit stream of `bits` words. Planar: each bit plane
/// (widest first) has its own words. Equal for 2, 4 and 8 bits.
enum class Packing { Continuous, Planar };

/// How stored zero points become 0..2^bits-1.
enum class ZeroRule {
  Stored,      ///< v2: as they are
  AddPerField, ///< v1: (stored + 1) mod 2^bits in each field
  AddPerWord,  ///< v1 as GPTQModel >= 0.9 writes it: one add per word, so that borrows undo
               ///< themselves
  OldThreeBit, ///< v1, 3 bits, as GPTQModel wrote before 2026-04-17: per-word constants in wrong
               ///< order
};

/// "continuous", "planar".
std::string_view packingName(Packing packing);

/// A run of bits of one code: `width` bits at `place` of the code lie at `shift` of word `word` of
/// the block.
struct BitPiece {
  uint8_t word, shift, width, place;
};

/// Pieces of code j (0..31) of a block of 32 codes, lowest bits first; one to three of them.
std::vector<BitPiece> bitPieces(Packing packing, int bits, int j);

/// Whether `count` codes fill whole words: multiples of 32/bits for 2, 4, 8 bits, of 32 otherwise.
bool packsWhole(int bits, int64_t count);
/// The smallest count that packsWhole accepts besides 0: 16, 32, 8, 32, 32, 32, 4 for 2..8 bits.
int64_t packUnit(int bits);

/// Words that hold `count` codes (packsWhole).
inline int64_t packedWords(int bits, int64_t count) { return count * bits / 32; }

/// qweight, as stored ([K*bits/32, N] int32, any alignment), to codes [K,N]; the sizes must fit.
std::vector<uint8_t> unpackRows(Packing packing, int bits, int64_t k, int64_t n,
                                std::span<const uint8_t> words);
/// Codes [K,N] to qweight [K*bits/32, N].
std::vector<uint32_t> packRows(Packing packing, int bits, int64_t k, int64_t n,
                               std::span<const uint8_t> codes);

/// qzeros, as stored ([G, N*bits/32] int32, any alignment), to zero points [G,N].
std::vector<uint8_t> unpackZeros(Packing packing, int bits, int64_t groups, int64_t n,
                                 std::span<const uint8_t> words, ZeroRule rule);
/// Zero points [G,N] to qzeros; `minusOne` writes v1 fields (z - 1, each zero must be >= 1).
std::vector<uint32_t> packZeros(Packing packing, int bits, int64_t groups, int64_t n,
                                std::span<const uint8_t> zeros, bool minusOne);

/// The words of a symmetric 3-bit file with the zeros that GPTQModel wrote before 2026-04-17.
bool isOldThreeBitSignature(std::span<const uint8_t> words);

/// What v1 words say about zero points of 0, which v1 cannot hold per field.
struct UnderflowFacts {
  int64_t words = 0;        ///< words with a field of all ones (a stored -1)
  int64_t allOnesAbove = 0; ///< those where every higher field is all ones too, and there is one
  int64_t others = 0;       ///< those with a higher field that is not all ones
};
/// For continuous 2, 4 and 8 bits.
UnderflowFacts underflowFacts(int bits, std::span<const uint8_t> words);

} // namespace gptqc

#endif // GPTQC_RUNTIME_CHECKPOINT_GPTQWORDS_H
