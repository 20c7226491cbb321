// The byte form of a KernelImage:
//   "GPTQCIMG" | u32 version | u32 header bytes | u64 cubin bytes | JSON header | cubin | SHA-256
//   of all before
// with little-endian numbers. Nothing of it is used before length and digest are verified, and
// every value of the header is range-checked, since a digest proves no origin.
#include "runtime/core/KernelImage.h"

#include <algorithm>
#include <cstring>

#include <nlohmann/json.hpp>

#include "runtime/core/Descriptor.h"
#include "runtime/core/Hash.h"
#include "runtime/core/KernelImageJson.h"
#include "runtime/core/LinearArgs.h"

namespace gptqc {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kMagic = "GPTQCIMG";
constexpr uint32_t kVersion = 2;
constexpr size_t kPrefixBytes = 24;
constexpr size_t kDigestBytes = 32;
constexpr uint64_t kMaxHeaderBytes = uint64_t(1) << 20;

int64_t alignUp(int64_t value, int64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

template <typename T> void append(std::vector<uint8_t> &bytes, T value) {
  for (size_t i = 0; i < sizeof(T); ++i)
    bytes.push_back(uint8_t(value >> (8 * i)));
}

uint64_t load(const uint8_t *bytes, size_t count) {
  uint64_t value = 0;
  for (size_t i = 0; i < count; ++i)
    value |= uint64_t(bytes[i]) << (8 * i);
  return value;
}

/// Reads typed, range-checked members and remembers the first that is wrong.
class HeaderReader {
public:
  explicit HeaderReader(const Json &object) : object(object) {}

  void text(const char *key, std::string &value) {
    const auto it = object.find(key);
    if (it == object.end() || !it->is_string())
      return fail(key);
    value = it->get<std::string>();
  }

  template <typename T> void number(const char *key, T &value, int64_t lo, int64_t hi) {
    const auto it = object.find(key);
    if (it == object.end() || !it->is_number_integer())
      return fail(key);
    // A value above INT64_MAX wraps to a negative one, which every range here refuses.
    const int64_t number = it->get<int64_t>();
    if (number < lo || number > hi)
      return fail(key);
    value = T(number);
  }

  void flag(const char *key, bool &value) {
    const auto it = object.find(key);
    if (it == object.end() || !it->is_boolean())
      return fail(key);
    value = it->get<bool>();
  }

  bool has(const char *key) const { return object.contains(key); }
  const char *wrong() const { return wrongKey; }

private:
  void fail(const char *key) {
    if (!wrongKey)
      wrongKey = key;
  }

  const Json &object;
  const char *wrongKey = nullptr;
};

bool isIdentifier(std::string_view text) {
  if (text.empty() || text.size() > 256)
    return false;
  for (const char c : text)
    if (!(c == '_' || c == '$' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
          (c >= 'A' && c <= 'Z')))
      return false;
  return true;
}

/// The name of the member that is wrong, or null.
const char *readHeader(const Json &header, KernelImage &image) {
  constexpr int64_t kAny = int64_t(1) << 40;
  static const Json empty = Json::object();
  const auto child = [&](const char *key) -> const Json & {
    const auto it = header.find(key);
    return it != header.end() && it->is_object() ? *it : empty;
  };
  HeaderReader top(header);
  top.text("descriptor", image.descriptor);
  top.text("target", image.target);
  top.text("schedule", image.schedule);
  top.text("compiler", image.compiler);
  top.text("build_key", image.buildKey);

  HeaderReader launch(child("launch"));
  launch.text("entry", image.launch.entry);
  launch.number("threads", image.launch.threads, 0, 1024);
  launch.number("shared_bytes", image.launch.sharedBytes, 0, 1 << 20);
  launch.number("tile_n", image.launch.tileN, 0, 4096);
  launch.number("tile_m", image.launch.tileM, 0, 4096);
  launch.number("split_k", image.launch.splitK, 1, 65535);
  launch.number("x_vector", image.launch.xVector, 1, 256);
  launch.number("padded_n", image.launch.paddedN, 0, kAny);
  launch.flag("persistent", image.launch.persistent);
  launch.number("cluster", image.launch.cluster, 1, 16);
  launch.number("item_tiles", image.launch.itemTiles, 1, 16);
  launch.flag("items_over_tokens", image.launch.itemsOverTokens);
  launch.number("x_box_rows", image.launch.xBoxRows, 0, 256);
  launch.number("permuted_k", image.launch.permutedK, 0, 1 << 30);
  launch.number("permute_shared", image.launch.permuteShared, 0, 1 << 20);
  launch.number("permute_threads", image.launch.permuteThreads, 0, 1024);
  launch.flag("overlaps", image.launch.overlaps);
  launch.flag("uses_permutation", image.launch.usesPermutation);
  if (launch.has("experts")) // of grouped layers alone
    launch.number("experts", image.launch.experts, 2, kMaxExperts);

  HeaderReader resources(child("resources"));
  resources.number("registers", image.resources.registers, 0, 1 << 16);
  resources.number("spill_stores", image.resources.spillStores, 0, kAny);
  resources.number("spill_loads", image.resources.spillLoads, 0, kAny);
  resources.number("stack_bytes", image.resources.stackBytes, 0, kAny);
  resources.number("static_shared_bytes", image.resources.staticSharedBytes, 0, kAny);

  for (const HeaderReader *reader : {&top, &launch, &resources})
    if (reader->wrong())
      return reader->wrong();
  return isIdentifier(image.launch.entry) ? nullptr : "entry";
}

} // namespace

nlohmann::json kernelFactsToJson(const KernelImage &image) {
  const LaunchFacts &launch = image.launch;
  const ResourceUsage &resources = image.resources;
  Json facts = {{"descriptor", image.descriptor},
                {"target", image.target},
                {"schedule", image.schedule},
                {"compiler", image.compiler},
                {"build_key", image.buildKey},
                {"launch",
                 {{"entry", launch.entry},
                  {"threads", launch.threads},
                  {"shared_bytes", launch.sharedBytes},
                  {"tile_n", launch.tileN},
                  {"tile_m", launch.tileM},
                  {"split_k", launch.splitK},
                  {"x_vector", launch.xVector},
                  {"padded_n", launch.paddedN},
                  {"persistent", launch.persistent},
                  {"cluster", launch.cluster},
                  {"item_tiles", launch.itemTiles},
                  {"items_over_tokens", launch.itemsOverTokens},
                  {"x_box_rows", launch.xBoxRows},
                  {"permuted_k", launch.permutedK},
                  {"permute_shared", launch.permuteShared},
                  {"permute_threads", launch.permuteThreads},
                  {"overlaps", launch.overlaps},
                  {"uses_permutation", launch.usesPermutation}}},
                {"resources",
                 {{"registers", resources.registers},
                  {"spill_stores", resources.spillStores},
                  {"spill_loads", resources.spillLoads},
                  {"stack_bytes", resources.stackBytes},
                  {"static_shared_bytes", resources.staticSharedBytes}}}};
  if (launch.experts > 1)
    facts["launch"]["experts"] = launch.experts;
  return facts;
}

Result<KernelImage> kernelFactsFromJson(const nlohmann::json &facts, std::string_view origin) {
  KernelImage image;
  if (!facts.is_object())
    return dataCorrupt("{}: kernel facts are no JSON object", origin);
  if (const char *wrong = readHeader(facts, image))
    return dataCorrupt("{}: kernel image header: '{}' is missing or out of range", origin, wrong);
  return image;
}

namespace {

/// Of the counters and the partial sums.
int64_t splitBytes(const LaunchFacts &facts, int64_t m) {
  if (facts.splitK <= 1)
    return 0;
  const int64_t across = facts.blocksN(), most = kMaxSplitTiles / std::max<int64_t>(across, 1);
  const int64_t tiles = facts.blocksM(m) <= most ? across * facts.blocksM(m) : kMaxSplitTiles;
  return kCounterBytes + alignUp(tiles * facts.splitK * facts.tileN * facts.tileM * 4, 256);
}

} // namespace

int64_t LaunchFacts::permutedOffset(int64_t m) const {
  // Behind the counters even where there are none: other kernels that share the workspace count.
  return std::max(kCounterBytes, splitBytes(*this, m));
}

int64_t LaunchFacts::workspaceBytes(int64_t m) const {
  if (m <= 0)
    return 0;
  return permutedK == 0 ? splitBytes(*this, m) : permutedOffset(m) + m * permutedK * 2;
}

std::vector<uint8_t> KernelImage::serialize() const {
  // Text that is not UTF-8 is replaced instead of thrown at: a log from a compiler may hold
  // anything.
  const std::string header =
      kernelFactsToJson(*this).dump(-1, ' ', false, Json::error_handler_t::replace);
  std::vector<uint8_t> bytes(kMagic.begin(), kMagic.end());
  bytes.reserve(kPrefixBytes + header.size() + cubin.size() + kDigestBytes);
  append(bytes, kVersion);
  append(bytes, uint32_t(header.size()));
  append(bytes, uint64_t(cubin.size()));
  bytes.insert(bytes.end(), header.begin(), header.end());
  bytes.insert(bytes.end(), cubin.begin(), cubin.end());
  const Sha256Digest digest = sha256(bytes.data(), bytes.size());
  bytes.insert(bytes.end(), digest.begin(), digest.end());
  return bytes;
}

Result<KernelImage> KernelImage::deserialize(const uint8_t *data, size_t size,
                                             std::string_view origin) {
  if (size < kPrefixBytes + kDigestBytes || std::memcmp(data, kMagic.data(), kMagic.size()) != 0)
    return dataCorrupt("{}: no kernel image (bad magic or too short)", origin);
  const uint64_t version = load(data + 8, 4);
  if (version != kVersion)
    return dataCorrupt("{}: kernel image version {}, this build reads version {}", origin, version,
                       kVersion);
  const uint64_t headerBytes = load(data + 12, 4);
  const uint64_t cubinBytes = load(data + 16, 8);
  const uint64_t payload = size - kPrefixBytes - kDigestBytes;
  if (headerBytes > kMaxHeaderBytes || headerBytes > payload || cubinBytes != payload - headerBytes)
    return dataCorrupt("{}: kernel image is truncated or has trailing bytes", origin);
  const Sha256Digest digest = sha256(data, size - kDigestBytes);
  if (std::memcmp(digest.data(), data + size - kDigestBytes, kDigestBytes) != 0)
    return dataCorrupt("{}: kernel image is damaged (its SHA-256 does not match)", origin);

  const auto *text = reinterpret_cast<const char *>(data + kPrefixBytes);
  const Json header = Json::parse(text, text + headerBytes, nullptr, false);
  if (!header.is_object())
    return dataCorrupt("{}: kernel image has no JSON header", origin);
  GPTQC_ASSIGN(KernelImage image, kernelFactsFromJson(header, origin));
  const uint8_t *cubin = data + kPrefixBytes + headerBytes;
  image.cubin.assign(cubin, cubin + cubinBytes);
  return image;
}

} // namespace gptqc
