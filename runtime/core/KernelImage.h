// KernelImage: a compiled kernel with everything a launch needs, and where it came from. What the
// cache stores, packs ship and the runtime loads.
#ifndef GPTQC_RUNTIME_CORE_KERNELIMAGE_H
#define GPTQC_RUNTIME_CORE_KERNELIMAGE_H

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/Status.h"

namespace gptqc {

/// Name of the kernel that permutes X, in the code of layers whose kernel reads it permuted.
inline constexpr const char *kPermuteEntry = "gptqc_permute";

/// Filled by the emitter. An item is what one cluster of blocks (without clusters: one block)
/// computes: row tiles, of tiled rows = Np (all parts), for one tile of tokens. Grid: x = cluster *
/// items along the rows, y = ceil(M / tileM), z = splitK; where items count token tiles too, y
/// is 1. The clusters of a persistent kernel walk over the items: x is then as many blocks as are
/// resident at once, at most. Where its last items are shared out in parts, items are such parts.
struct LaunchFacts {
  std::string entry = "gptqc_linear"; ///< extern "C" name inside the cubin
  int threads = 0;                    ///< per block
  int64_t sharedBytes = 0;            ///< dynamic shared memory per block
  int tileN = 0; ///< packed rows per block, or part (gate and up together for silu_mul)
  int tileM = 0; ///< tokens per block
  int splitK = 1;
  int xVector = 16;             ///< X base and row stride must be multiples of this many bytes
  int64_t paddedN = 0;          ///< Np
  bool persistent = false;      ///< any grid x covers all items
  int cluster = 1;              ///< blocks of a cluster, along x; grid x is a multiple
  int itemTiles = 1;            ///< row tiles of an item
  bool itemsOverTokens = false; ///< items count token tiles too
  int xBoxRows = 0; ///< a second parameter maps X in boxes of so many rows x 64; 0: there is none
  /// X is read from the workspace, [M, permutedK], where the kernel kPermuteEntry of the same code
  /// puts it, with so many threads per block, 8 columns each, and bytes of dynamic shared memory,
  /// which hold whole rows of X (0: none are held); permutedK 0: X is read as it comes.
  int64_t permutedK = 0, permuteShared = 0;
  int permuteThreads = 0;
  bool overlaps = false;        ///< may be launched before the kernel in front of it has ended
  bool usesPermutation = false; ///< reads LinearArgs::perm when it is not null
  int experts = 1;              ///< above 1: blocks find their expert on the device

  bool operator==(const LaunchFacts &) const = default;

  int64_t blocksN() const { return (paddedN + tileN - 1) / tileN; }
  /// Tiles of tokens for m of them. Experts have whole tiles each, and how m is spread over them is
  /// known to the device alone: then it is the most that can be.
  int64_t blocksM(int64_t m) const {
    const int64_t hit = std::min<int64_t>(experts, m);
    return (m + hit * (tileM - 1)) / tileM;
  }
  /// Items along grid x for m tokens.
  int64_t items(int64_t m) const {
    return (blocksN() + itemTiles - 1) / itemTiles * (itemsOverTokens ? blocksM(m) : 1);
  }
  int64_t gridY(int64_t m) const { return itemsOverTokens ? 1 : blocksM(m); }
  /// Bytes of workspace for m tokens: kCounterBytes of counters, one fp32 tile per (block, split),
  /// rounded up to 256, then the permuted X. 0 when splitK is 1 and X is not permuted.
  int64_t workspaceBytes(int64_t m) const;
  /// Where the permuted X begins in it.
  int64_t permutedOffset(int64_t m) const;
};

/// What ptxas reported.
struct ResourceUsage {
  int registers = 0;
  int64_t spillStores = 0, spillLoads = 0; ///< bytes
  int64_t stackBytes = 0;
  int64_t staticSharedBytes = 0;
  bool operator==(const ResourceUsage &) const = default;
};

struct KernelImage {
  std::string descriptor, target, schedule; ///< text forms
  LaunchFacts launch;
  ResourceUsage resources;
  std::string compiler; ///< e.g. "nvrtc 13.0"
  std::string buildKey; ///< SHA-256 (hex) of source, headers, options and NVRTC
  std::vector<uint8_t> cubin;

  /// One self-checking byte string (JSON header + cubin + SHA-256); deserialize verifies length and
  /// digest.
  std::vector<uint8_t> serialize() const;
  static Result<KernelImage> deserialize(const uint8_t *data, size_t size, std::string_view origin);
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_CORE_KERNELIMAGE_H
