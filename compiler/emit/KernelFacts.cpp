// Constants of the layer and the tile, as text.
#include "compiler/emit/KernelFacts.h"

#include <algorithm>

#include "compiler/schedule/TilePlan.h"

namespace gptqc {

namespace {

/// Tokens whose blocks run side by side in wgmma kernels: their X and the weights of the blocks in
/// flight fit in L2.
constexpr int kRasterTokens = 1024;

/// Up to so many, the kernel that permutes X has little to do.
constexpr int64_t kFewTokens = 8;

/// Rows that a block of the kernel that permutes X holds in shared memory: several where there are
/// enough for all SMs, as many as fit beside other blocks; 0: none fits, or there are so few that
/// reading all of a row in each block takes longer than its gathers.
int stagedRows(const Descriptor &d) {
  constexpr int64_t kMost = 64 * 1024;
  if (d.m.hi <= kFewTokens)
    return 0;
  int rows = d.m.hi >= 512 ? 4 : d.m.hi >= 256 ? 2 : 1;
  while (rows > 0 && rows * d.k * 2 > kMost)
    rows /= 2;
  return rows;
}
int64_t stagedBytes(const Descriptor &d) { return stagedRows(d) * d.k * 2; }

/// Small blocks where there is little to do: more of them, which the SMs share.
int permuteThreads(const Descriptor &d) { return d.m.hi <= kFewTokens ? 64 : 512; }

/// Prints the members of a struct of constants.
class FactsPrinter {
public:
  explicit FactsPrinter(std::string_view name) : text(fmt::format("struct {} {{\n", name)) {}

  void flag(std::string_view name, bool value) { add("bool", name, value ? "true" : "false"); }
  void number(std::string_view name, int64_t value) { add("int", name, std::to_string(value)); }
  void wide(std::string_view name, int64_t value) { add("long long", name, std::to_string(value)); }
  void type(std::string_view name, DType value) {
    text += fmt::format("  using {} = gptqc::{};\n", name, dtypeName(value));
  }
  std::string finish() { return text + "};\n"; }

private:
  std::string text;

  void add(std::string_view kind, std::string_view name, std::string_view value) {
    text += fmt::format("  static constexpr {} {} = {};\n", kind, name, value);
  }
};

} // namespace

std::string layerFacts(const Descriptor &d, const Schedule &s) {
  const WeightLayout layout = TilePlan::layoutOf(d);
  const bool inFront = permutesX(d, s); // then X has the packed columns
  FactsPrinter facts("layer");
  facts.number("bits", d.bits);
  facts.flag("sym", d.sym);
  facts.flag("ragged", d.ragged);
  facts.flag("permuted", layout.permuted && !inFront);
  facts.flag("bias", d.bias);
  facts.number("parts", layout.parts);
  if (d.grouped())
    facts.number("experts", d.experts);
  facts.wide("n", d.n);
  facts.wide("k", inFront ? layout.paddedK : d.k);
  if (inFront) {
    facts.wide("source_k", d.k);
    facts.number("staged_rows", stagedRows(d));
    facts.number("permute_threads", permuteThreads(d));
  }
  facts.wide("padded_n", layout.paddedN);
  facts.wide("padded_k", layout.paddedK);
  facts.number("padded_groups", layout.paddedGroups);
  facts.number("group_steps", layout.paddedGroupSize / 16);
  facts.type("act", d.act);
  facts.type("out", d.out);
  facts.type("scale", d.scales);
  return facts.finish();
}

std::string tileFacts(const Descriptor &d, const Schedule &s) {
  FactsPrinter facts("tile");
  facts.number("n", s.tileN);
  facts.number("m", s.tileM);
  facts.number("k", s.tileK);
  facts.number("n_warps", s.nWarps());
  facts.number("m_warps", s.mWarps);
  facts.number("k_warps", s.kWarps);
  facts.number("split_k", s.splitK);
  if (s.family == Family::Gemv) {
    facts.number("stages", s.stages);
    facts.number("cluster", s.splitK);
    facts.number("x_rows", TilePlan::of(d, s).xRows);
    facts.number("reduce_warps", s.reduceWarps());
  }
  if (s.family == Family::Wgmma) {
    facts.number("stages", s.stages);
    facts.number("cluster", s.splitK * s.multicast);
    facts.number("weight_stages", TilePlan::of(d, s).weightStages);
    facts.number("multicast", s.multicast);
    facts.number("raster", std::max(1, kRasterTokens / s.tileM));
  }
  return facts.finish();
}

LaunchFacts launchFacts(const Descriptor &d, const Schedule &s) {
  const WeightLayout layout = TilePlan::layoutOf(d);
  LaunchFacts facts;
  facts.threads = s.threads();
  facts.tileN = s.tileN;
  facts.tileM = s.tileM;
  // simt reads single elements whatever its schedule says.
  facts.xVector = s.family == Family::Simt ? 2 : s.xVector;
  if (permutesX(d, s)) { // the kernel in front takes any X
    facts.xVector = 2;
    facts.permutedK = layout.paddedK;
    facts.permuteShared = stagedBytes(d);
    facts.permuteThreads = permuteThreads(d);
  }
  facts.paddedN = layout.paddedN;
  if (s.family == Family::Gemv) {
    facts.persistent = true;
    facts.cluster = s.splitK;
  } else if (s.family == Family::Wgmma) {
    // Partial sums overlay the rings, so a block that splits k has one item.
    facts.persistent = s.splitK * s.kWarps == 1;
    if (facts.persistent) // the last round is shared out by warpgroups
      facts.tileN = 64 * TilePlan::of(d, s).warpNTiles;
    facts.cluster = s.splitK * s.multicast;
    facts.itemTiles = s.multicast;
    facts.itemsOverTokens = true;
    facts.xBoxRows = s.tileM / s.multicast;
  } else {
    facts.splitK = s.splitK;
  }
  facts.usesPermutation = layout.permuted;
  facts.experts = d.experts;
  return facts;
}

} // namespace gptqc
