// Reading: nothing of the file is used before the manifest's digest and every value in it are
// checked, and no code before its own digest is.
#include "runtime/pack/Pack.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "runtime/core/Hash.h"
#include "runtime/core/KernelImageJson.h"
#include "runtime/core/TextForm.h"
#include "runtime/core/WeightLayout.h"

namespace gptqc {
namespace {

using Json = nlohmann::json;

constexpr int64_t kTensorAlignment = 64;
constexpr int64_t kMaxCodeBytes = int64_t(256) << 20;

std::string driverText(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

/// Text that messages may repeat.
bool isPrintable(const std::string &text) { return quoteName(text) == text; }

Result<std::string> textOf(const Json &object, const char *key) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_string() || !isPrintable(it->get<std::string>()))
    return dataCorrupt("'{}' is missing or cannot be printed", key);
  return it->get<std::string>();
}

Result<int64_t> numberOf(const Json &object, const char *key, int64_t lo, int64_t hi) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_number_integer() || it->get<int64_t>() < lo ||
      it->get<int64_t>() > hi)
    return dataCorrupt("'{}' is missing or out of range", key);
  return it->get<int64_t>();
}

const Json *listOf(const Json &object, const char *key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_array() ? &*it : nullptr;
}

Result<PackKernel> readKernel(const Json &entry) {
  PackKernel kernel;
  GPTQC_ASSIGN(kernel.facts, kernelFactsFromJson(entry, "manifest"));
  if (!isPrintable(kernel.facts.descriptor) || !isPrintable(kernel.facts.target))
    return dataCorrupt("'descriptor' or 'target' cannot be printed");
  GPTQC_ASSIGN(kernel.target, Target::parse(kernel.facts.target));
  GPTQC_ASSIGN(const std::string kind, textOf(entry, "kind"));
  if (kind != "cubin" && kind != "ptx")
    return dataCorrupt("kind '{}' is neither cubin nor ptx", kind);
  kernel.ptx = kind == "ptx";
  GPTQC_ASSIGN(kernel.digest, textOf(entry, "sha256"));
  GPTQC_ASSIGN(kernel.tensor, textOf(entry, "tensor"));
  GPTQC_ASSIGN(kernel.bytes, numberOf(entry, "bytes", 1, kMaxCodeBytes));
  GPTQC_ASSIGN(const int64_t driver, numberOf(entry, "minimum_driver", 0, 1000000));
  kernel.minimumDriver = int(driver);
  if (entry.contains("support")) {
    GPTQC_ASSIGN(kernel.support, textOf(entry, "support"));
  }
  return kernel;
}

/// "9..16", "8193..": as in a descriptor, without the m.
Result<MRange> readRange(const Json &value) {
  const std::string text = value.is_string() ? value.get<std::string>() : "";
  const size_t dots = text.find("..");
  const std::optional<int64_t> lo = parseInteger(text.substr(0, dots));
  const std::string high = dots == std::string::npos ? "" : text.substr(dots + 2);
  const std::optional<int64_t> hi = high.empty() ? kUnboundedM : parseInteger(high);
  if (dots == std::string::npos || !lo || !hi || *lo < 1 || *hi < *lo)
    return dataCorrupt("'{}' is no range of tokens", quoteName(text));
  return MRange{*lo, *hi};
}

Result<PackTable> readTable(const Json &entry, const std::vector<PackKernel> &kernels) {
  PackTable table;
  GPTQC_ASSIGN(table.descriptor, textOf(entry, "descriptor"));
  GPTQC_ASSIGN(Descriptor layer, Descriptor::parse(table.descriptor));
  GPTQC_ASSIGN(const std::string target, textOf(entry, "target"));
  GPTQC_ASSIGN(table.target, Target::parse(target));
  GPTQC_ASSIGN(const std::string kind, textOf(entry, "kind"));
  table.ptx = kind == "ptx";
  const Json *rows = listOf(entry, "rows");
  if (!rows || rows->empty())
    return dataCorrupt("'rows' is missing");
  for (const Json &item : *rows) {
    if (!item.is_array() || item.size() != 2 || !item[1].is_number_unsigned() ||
        item[1].get<uint64_t>() >= kernels.size())
      return dataCorrupt("a row is no pair of range and kernel");
    PackTable::Row row;
    GPTQC_ASSIGN(row.m, readRange(item[0]));
    row.kernel = size_t(item[1].get<uint64_t>());
    if (!table.rows.empty() && row.m.lo <= table.rows.back().m.hi)
      return dataCorrupt("its ranges overlap");
    const PackKernel &kernel = kernels[row.kernel];
    layer.m = row.m;
    if (kernel.facts.descriptor != layer.print() || kernel.target != table.target ||
        kernel.ptx != table.ptx || !kernel.support.empty())
      return dataCorrupt("row {}..{} names a kernel for something else", row.m.lo, row.m.hi);
    table.rows.push_back(row);
  }
  return table;
}

} // namespace

int PackKernel::fitness(const Target &gpu) const {
  if (ptx)
    return target.capability <= gpu.capability ? target.capability : 0;
  if (target.archSpecific)
    return gpu.archSpecific && target.capability == gpu.capability ? 2000 : 0;
  const bool runs =
      target.capability / 10 == gpu.capability / 10 && target.capability <= gpu.capability;
  return runs ? 1000 + target.capability % 10 : 0;
}

int64_t PackKernel::sharedBytes() const {
  return facts.launch.sharedBytes + facts.resources.staticSharedBytes;
}

Result<std::shared_ptr<const Pack>> Pack::open(const std::filesystem::path &path) {
  std::shared_ptr<Pack> pack(new Pack);
  GPTQC_ASSIGN(pack->file, SafeTensorsFile::open(path));
  GPTQC_TRY(pack->readManifest().withContext(fmt::format("pack {}", path.string())));
  return std::shared_ptr<const Pack>(std::move(pack));
}

const std::string &Pack::manifest() const { return file->metadata().find("gptqc_pack")->second; }

Status Pack::readManifest() {
  const auto &metadata = file->metadata();
  const auto text = metadata.find(std::string(kManifestKey));
  const auto check = metadata.find(std::string(kDigestKey));
  if (text == metadata.end() || check == metadata.end())
    return dataCorrupt("no kernel pack: its __metadata__ has no {}", kManifestKey);
  manifestDigest = sha256Hex(text->second);
  if (manifestDigest != check->second)
    return dataCorrupt("the manifest is damaged (its SHA-256 does not match); fetch it again");
  const Json manifest = Json::parse(text->second, nullptr, false);
  if (!manifest.is_object())
    return dataCorrupt("the manifest is no JSON object");
  GPTQC_ASSIGN(const int64_t format, numberOf(manifest, "format", 0, INT64_MAX));
  if (format != kFormat)
    return makeError(Code::Unsupported,
                     "format {}; this build reads format {}: build the pack again", format,
                     kFormat);
  GPTQC_ASSIGN(const std::string layout, textOf(manifest, "layout"));
  if (layout != kWeightLayoutName)
    return makeError(Code::Unsupported,
                     "its kernels read weights packed as {}, this build packs {}: build it again",
                     quoteName(layout), kWeightLayoutName);
  const Json *kernelList = listOf(manifest, "kernels"), *tableList = listOf(manifest, "tables");
  const auto source = manifest.find("provenance");
  if (!kernelList || !tableList || source == manifest.end() || !source->is_object())
    return dataCorrupt("the manifest needs kernels, tables and provenance");
  for (const auto &[key, value] : source->items())
    if (value.is_string())
      origin[key] = value.get<std::string>();
  GPTQC_TRY(readKernels(*kernelList));
  GPTQC_TRY(readTables(*tableList));
  return checkTensors();
}

Status Pack::readKernels(const Json &list) {
  for (const Json &entry : list) {
    Result<PackKernel> kernel = readKernel(entry);
    if (!kernel.ok())
      return kernel.status().withContext(fmt::format("kernel {}", entries.size()));
    entries.push_back(std::move(*kernel));
  }
  return Status();
}

Status Pack::readTables(const Json &list) {
  for (const Json &entry : list) {
    Result<PackTable> table = readTable(entry, entries);
    if (!table.ok())
      return table.status().withContext(fmt::format("table {}", launchTables.size()));
    tablesOf[table->descriptor].push_back(launchTables.size());
    launchTables.push_back(std::move(*table));
  }
  return Status();
}

Status Pack::checkTensors() const {
  for (const PackKernel &kernel : entries) {
    const TensorInfo *tensor = file->find(kernel.tensor);
    if (!tensor || tensor->type != ElementType::U8)
      return dataCorrupt("tensor '{}' of kernel '{}' is missing", quoteName(kernel.tensor),
                         kernel.facts.descriptor);
    if (int64_t(tensor->bytes) !=
        (kernel.bytes + kTensorAlignment - 1) / kTensorAlignment * kTensorAlignment)
      return dataCorrupt("tensor '{}' has {} bytes, its kernel {}", quoteName(kernel.tensor),
                         tensor->bytes, kernel.bytes);
  }
  return Status();
}

Result<KernelImage> Pack::image(size_t kernel) const {
  const PackKernel &entry = entries[kernel];
  const std::span<const uint8_t> code = file->bytes(*file->find(entry.tensor));
  const std::span<const uint8_t> rest = code.subspan(size_t(entry.bytes));
  if (toHex(sha256(code.data(), size_t(entry.bytes))) != entry.digest ||
      std::any_of(rest.begin(), rest.end(), [](uint8_t byte) { return byte != 0; }))
    return dataCorrupt("pack {}: kernel '{}' for {} is damaged (its SHA-256 does not match); fetch "
                       "the pack again",
                       path().string(), entry.facts.descriptor, entry.facts.target);
  KernelImage image = entry.facts;
  image.cubin.assign(code.begin(), code.begin() + entry.bytes);
  return image;
}

Status Pack::verify() const {
  for (size_t i = 0; i < entries.size(); ++i)
    GPTQC_TRY(image(i).status());
  return Status();
}

std::string Pack::architectures() const {
  std::vector<std::string> names;
  for (const PackKernel &kernel : entries) {
    const std::string name =
        kernel.ptx ? fmt::format("compute_{} and later (PTX)", kernel.target.capability)
                   : kernel.target.arch();
    if (std::find(names.begin(), names.end(), name) == names.end())
      names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return fmt::format("{}", fmt::join(names, ", "));
}

template <typename Wanted>
Result<KernelImage> Pack::find(std::string_view what, const Target &gpu, int driver,
                               const Wanted &wanted) const {
  const PackKernel *best = nullptr, *tooNew = nullptr, *tooLarge = nullptr;
  bool anyForGpu = false;
  for (const PackKernel &kernel : entries) {
    const int fitness = kernel.fitness(gpu);
    anyForGpu = anyForGpu || fitness > 0;
    if (fitness == 0 || !wanted(kernel))
      continue;
    if (kernel.sharedBytes() > gpu.maxSharedMemory()) // 8.6 and 8.9 have less than 8.0
      tooLarge = &kernel;
    else if (kernel.minimumDriver > driver)
      tooNew = &kernel;
    else if (!best || fitness > best->fitness(gpu))
      best = &kernel;
  }
  if (best)
    return image(size_t(best - entries.data()));
  if (tooNew)
    return makeError(
        Code::Unsupported,
        "pack {}: '{}' needs a driver for CUDA {}, this one is for CUDA {}; update the "
        "driver, or build the pack with an older NVRTC",
        path().string(), what, driverText(tooNew->minimumDriver), driverText(driver));
  if (tooLarge)
    return makeError(Code::Unsupported,
                     "pack {}: '{}' for {} needs {} bytes of shared memory, {} has {}; build it "
                     "with --target {}",
                     path().string(), what, tooLarge->target.arch(), tooLarge->sharedBytes(),
                     gpu.print(), gpu.maxSharedMemory(), gpu.arch());
  if (!anyForGpu)
    return makeError(Code::Unsupported,
                     "pack {}: it is for {}, this GPU is {}; build it with --target {}",
                     path().string(), architectures(), gpu.print(), gpu.arch());
  return makeError(Code::NotFound,
                   "pack {}: it has no kernel '{}' for {}; build a pack with it (gptqc pack build; "
                   "--m takes the token counts)",
                   path().string(), what, gpu.arch());
}

Result<KernelImage> Pack::findLinear(const Descriptor &kernel, const Target &gpu,
                                     int driver) const {
  Descriptor layer = kernel.canonical();
  layer.m = {1, kUnboundedM};
  std::vector<const PackKernel *> rows;
  if (const auto found = tablesOf.find(layer.print()); found != tablesOf.end())
    for (const size_t table : found->second)
      for (const PackTable::Row &row : launchTables[table].rows)
        if (row.m.lo <= kernel.m.lo && kernel.m.hi <= row.m.hi)
          rows.push_back(&entries[row.kernel]);
  return find(kernel.print(), gpu, driver, [&](const PackKernel &candidate) {
    return std::find(rows.begin(), rows.end(), &candidate) != rows.end();
  });
}

Result<KernelImage> Pack::findSupport(std::string_view supportFile, const Target &gpu,
                                      int driver) const {
  return find(supportFile, gpu, driver,
              [&](const PackKernel &candidate) { return candidate.support == supportFile; });
}

} // namespace gptqc
