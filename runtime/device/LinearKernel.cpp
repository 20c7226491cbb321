// Checks, then one or more launches.
#include "runtime/device/LinearKernel.h"

#include <algorithm>

namespace gptqc {
namespace {

constexpr int64_t kMaxGridY = 65535;
constexpr int64_t kElementBytes = 2; ///< of X and Y

/// The descriptor without what may differ between a layer and a kernel that runs it.
Descriptor layerPart(const Descriptor &descriptor) {
  Descriptor part = descriptor.canonical();
  part.m = MRange();
  part.batchInvariant = false;
  return part;
}

} // namespace

Result<LinearKernel> LinearKernel::load(const Device &device, const KernelImage &image) {
  LinearKernel kernel;
  GPTQC_ASSIGN(kernel.kernelDescriptor, Descriptor::parse(image.descriptor));
  kernel.scheduleText = image.schedule;
  kernel.facts = image.launch;
  kernel.usage = image.resources;
  const LaunchFacts &facts = kernel.facts;
  const auto impossible = [&](std::string_view what) {
    return dataCorrupt("kernel '{}': {}; compile it again", image.descriptor, what);
  };
  if (facts.threads < 32 || facts.threads > 1024)
    return impossible(fmt::format("{} threads per block", facts.threads));
  if (facts.tileN < 1 || facts.tileM < 1 || facts.splitK < 1 || facts.xVector < 1)
    return impossible("its tile sizes are not positive");
  if (facts.paddedN < kernel.kernelDescriptor.n || facts.blocksN() * facts.cluster > INT32_MAX)
    return impossible(fmt::format("it covers {} rows", facts.paddedN));
  if (facts.experts != kernel.kernelDescriptor.experts ||
      (facts.experts > 1 && (facts.itemsOverTokens || facts.xBoxRows > 0 || facts.permutedK > 0)))
    return impossible(fmt::format("it is launched for {} experts", facts.experts));
  if (facts.permutedK > 0 && (facts.permuteThreads < 32 || facts.permuteThreads > 1024))
    return impossible(fmt::format("{} threads permute X", facts.permuteThreads));
  if (facts.splitK > 1 && facts.blocksN() > kMaxSplitTiles)
    return impossible(
        fmt::format("split-k with {} tiles of rows, {} at most", facts.blocksN(), kMaxSplitTiles));
  GPTQC_ASSIGN(const Module module, Module::load(device, image));
  GPTQC_ASSIGN(kernel.kernel,
               module.function(facts.entry, facts.sharedBytes, facts.persistent && facts.overlaps));
  if (facts.permutedK > 0) {
    GPTQC_ASSIGN(kernel.permuter, module.function(kPermuteEntry, facts.permuteShared));
  }
  if (facts.persistent) {
    GPTQC_ASSIGN(kernel.resident, kernel.kernel.residentBlocks(facts.threads, facts.cluster));
  }
  return kernel;
}

Grid LinearKernel::gridFor(int64_t tokens, int64_t tiles) const {
  const int64_t items = facts.items(tokens);
  const int64_t y = facts.itemsOverTokens ? 1 : tiles;
  const int64_t share = y * facts.splitK * facts.cluster; // blocks that work on an item
  const int64_t clusters = facts.persistent ? walkersFor(items, share) : items;
  return {clusters * facts.cluster, y, facts.splitK};
}

/// As many as are resident, unless fewer share the items out so much better that they end a fifth
/// earlier: three rounds of one block of a multiprocessor against two rounds of two.
int64_t LinearKernel::walkersFor(int64_t items, int64_t share) const {
  const auto walkers = [&](size_t sharing) {
    return std::clamp<int64_t>(resident[sharing] / share, 1, items);
  };
  const auto rounds = [&](size_t sharing) {
    const int64_t count = walkers(sharing);
    return int64_t(sharing + 1) * ((items + count - 1) / count);
  };
  size_t best = resident.size() - 1;
  for (size_t fewer = best; fewer-- > 0;)
    if (5 * rounds(fewer) <= 4 * rounds(best))
      best = fewer;
  return walkers(best);
}

int LinearKernel::sharingFor(int64_t blocks) const {
  const auto enough = std::lower_bound(resident.begin(), resident.end(), blocks);
  return enough == resident.end() ? 0 : int(enough - resident.begin()) + 1;
}

/// X[tokens][K] as the kernel's boxes see it: 64 columns wide, 128-byte swizzle, zeros outside.
Status LinearKernel::mapX(CuTensorMap &map, CuDevicePtr x, int64_t ldx, int64_t tokens,
                          const Device &device) const {
  constexpr int kFloat16 = 6, kBFloat16 = 9, kSwizzle128 = 3, kPromote256 = 3; // CUtensorMap enums
  const bool isHalf = kernelDescriptor.act == DType::F16;
  const int64_t columns = facts.permutedK > 0 ? facts.permutedK : kernelDescriptor.k;
  const int64_t alignedRow = (columns * kElementBytes + 15) / 16 * 16;
  const uint64_t sizes[] = {uint64_t(columns), uint64_t(tokens)};
  const uint64_t stride[] = {uint64_t(tokens > 1 ? ldx * kElementBytes : alignedRow)};
  const unsigned box[] = {64, unsigned(facts.xBoxRows)}, step[] = {1, 1};
  const ContextScope scope(device);
  return device.check(device.api().cuTensorMapEncodeTiled(
                          &map, isHalf ? kFloat16 : kBFloat16, 2, reinterpret_cast<void *>(x),
                          sizes, stride, box, step, 0, kSwizzle128, kPromote256, 0),
                      "cuTensorMapEncodeTiled");
}

Status LinearKernel::permuteX(LinearArgs &args, const Stream &stream) const {
  constexpr int64_t kMostRows = 512; // of a grid, whose blocks walk over others
  const int64_t columns = int64_t(facts.permuteThreads) * 8; // of a block
  // Where each block holds all of a row, they share its columns only if there are few rows.
  const bool shares = facts.permuteShared == 0 || args.m < kMostRows / 2;
  const int64_t sharing = shares ? (facts.permutedK + columns - 1) / columns : 1;
  LinearArgs permute = args;
  permute.y = args.workspace + uint64_t(facts.permutedOffset(args.m));
  permute.ldy = facts.permutedK;
  const Grid grid{sharing, std::min<int64_t>(args.m, kMostRows), 1};
  GPTQC_TRY(
      permuter.launch(grid, facts.permuteThreads, &permute, stream, nullptr, args.overlaps != 0));
  args.x = permute.y;
  args.ldx = facts.permutedK;
  args.overlaps = facts.overlaps; // with the kernel that was just launched
  return Status();
}

int64_t LinearKernel::launchTiles() const {
  int64_t blocks = kMaxGridY;
  if (facts.splitK > 1)
    blocks = std::min(blocks, kMaxSplitTiles / facts.blocksN());
  if (facts.itemsOverTokens)
    blocks = std::min(blocks, INT32_MAX / (facts.items(1) * facts.cluster));
  return blocks;
}

int64_t LinearKernel::workspaceBytes(int64_t m) const {
  return facts.workspaceBytes(std::min(m, launchTiles() * facts.tileM));
}

Status LinearKernel::checkOffsets(int64_t m, CuDevicePtr expertOffsets) const {
  const Descriptor &d = kernelDescriptor;
  if (d.grouped() != (expertOffsets != 0))
    return invalidArgument("kernel '{}': {}", d.print(),
                           d.grouped() ? "a grouped layer needs the offsets of its experts' rows"
                                       : "expert offsets for a layer without experts");
  if (expertOffsets % 4 != 0 || (d.grouped() && m > INT32_MAX))
    return invalidArgument("kernel '{}': offsets at {:#x} for {} rows; they are int32, 4-byte "
                           "aligned",
                           d.print(), expertOffsets, m);
  return Status();
}

Status LinearKernel::checkRun(const DeviceLayer &layer, CuDevicePtr x, int64_t ldx, int64_t m,
                              CuDevicePtr y, int64_t ldy, DeviceSpan workspace) const {
  const Descriptor &d = kernelDescriptor;
  const auto refuse = [&](std::string_view what) {
    return invalidArgument("kernel '{}': {}", d.print(), what);
  };
  if (layerPart(layer.descriptor()) != layerPart(d))
    return refuse(fmt::format("the layer is '{}'", layer.descriptor().print()));
  if (m < d.m.lo || m > d.m.hi)
    return refuse(fmt::format("{} tokens are outside its range", m));
  if (layer.isPermuted() && !facts.usesPermutation)
    return refuse("the layer's columns are permuted, which this kernel does not read");
  if (x == 0 || y == 0)
    return refuse("x or y is null");
  if (m > 1 && (ldx < d.k || ldy < d.outputColumns()))
    return refuse(fmt::format("row strides of {} (x) and {} (y) elements; {} and {} at least", ldx,
                              ldy, d.k, d.outputColumns()));
  const bool strideMatters = m > 1;
  if (x % uint64_t(facts.xVector) != 0 ||
      (strideMatters && ldx * kElementBytes % facts.xVector != 0) || x % 2 != 0 || y % 2 != 0)
    return refuse(fmt::format("X at {:#x} with rows of {} bytes is not aligned to {} bytes; use a "
                              "schedule with xvec2, or copy X",
                              x, ldx * kElementBytes, facts.xVector));
  if (workspace.bytes() < workspaceBytes(m))
    return refuse(fmt::format("a workspace of {} bytes; {} needed for {} tokens", workspace.bytes(),
                              workspaceBytes(m), m));
  if (workspaceBytes(m) > 0 && (workspace.address() == 0 || workspace.address() % 16 != 0))
    return refuse(
        fmt::format("a workspace at {:#x}; it must be aligned to 16 bytes", workspace.address()));
  return Status();
}

Status LinearKernel::run(const DeviceLayer &layer, CuDevicePtr x, int64_t ldx, int64_t m,
                         CuDevicePtr y, int64_t ldy, DeviceSpan workspace, const Stream &stream,
                         bool overlaps, CuDevicePtr expertOffsets) const {
  if (m == 0)
    return Status();
  GPTQC_TRY(checkRun(layer, x, ldx, m, y, ldy, workspace));
  GPTQC_TRY(checkOffsets(m, expertOffsets));
  LinearArgs args;
  layer.fill(args);
  args.workspace = workspace.address();
  args.counterBytes = int32_t(kCounterBytes);
  args.ldy = ldy;
  args.expertOffsets = expertOffsets;
  const int64_t tiles = facts.blocksM(m), step = launchTiles();
  for (int64_t first = 0; first < tiles; first += step) {
    const int64_t count = std::min(step, tiles - first);
    // The rows of a plain layer's tiles are known; blocks of a grouped one look for theirs.
    const int64_t row = expertOffsets ? 0 : first * facts.tileM;
    const int64_t tokens = expertOffsets ? m : std::min(count * facts.tileM, m - row);
    args.x = x + uint64_t(row * ldx * kElementBytes);
    args.y = y + uint64_t(row * ldy * kElementBytes);
    args.m = int32_t(tokens);
    args.firstTile = int32_t(expertOffsets ? first : 0);
    args.ldx = ldx;
    args.overlaps = overlaps && facts.overlaps;
    if (facts.permutedK > 0)
      GPTQC_TRY(permuteX(args, stream));
    CuTensorMap map;
    if (facts.xBoxRows > 0)
      GPTQC_TRY(mapX(map, args.x, args.ldx, tokens, stream.device()));
    const Grid grid = gridFor(tokens, count);
    // Beside the last blocks of a kernel in front, the multiprocessors that are free first would
    // take two blocks each and leave none for those that are free later.
    const bool spreads = args.overlaps && facts.persistent;
    const int perSm = spreads ? sharingFor(grid.x * grid.y * grid.z) : 0;
    GPTQC_TRY(kernel.launch(grid, facts.threads, &args, stream, facts.xBoxRows > 0 ? &map : nullptr,
                            args.overlaps != 0, perSm));
  }
  return Status();
}

} // namespace gptqc
