// Lookup verifies, store renames. Entries never expire by time: a key names its content.
#include "runtime/core/DiskCache.h"

#include <cstdlib>

#include "runtime/core/AtomicFile.h"
#include "runtime/core/CacheFolder.h"
#include "runtime/core/CacheFormat.h"
#include "runtime/core/Hash.h"
#include "runtime/core/TextForm.h"

namespace gptqc {

using namespace cacheformat;

KernelRequest KernelRequest::linear(const Descriptor &kernel, const Target &gpu,
                                    std::string schedule, std::string compilerBuild) {
  std::string target = gpu.arch();
  if (schedule.empty())
    target += fmt::format(" sms{}", gpu.plannedSmCount());
  return {kernel.canonical().print(), std::move(target), std::move(schedule),
          std::move(compilerBuild)};
}

std::string KernelRequest::key() const {
  Sha256 hash;
  for (const std::string *field : {&descriptor, &target, &schedule, &compilerBuild})
    hash.updateField(*field);
  return toHex(hash.finish());
}

std::string KernelRequest::print() const {
  return fmt::format("{} | {} | {}", descriptor, target, schedule.empty() ? "default" : schedule);
}

Result<std::filesystem::path> DiskCache::defaultFolder() {
  const auto variable = [](const char *name) {
    const char *value = std::getenv(name);
    return std::filesystem::path(value ? value : "");
  };
  if (const auto own = variable("GPTQC_CACHE_DIR"); !own.empty())
    return own;
  if (const auto xdg = variable("XDG_CACHE_HOME"); xdg.is_absolute())
    return xdg / "gptqc";
  if (const auto home = variable("HOME"); !home.empty())
    return home / ".cache" / "gptqc";
  return makeError(Code::NotFound,
                   "no cache folder: neither GPTQC_CACHE_DIR, XDG_CACHE_HOME nor HOME is set");
}

Result<CacheOptions> CacheOptions::fromEnvironment(std::filesystem::path folder) {
  CacheOptions options;
  options.folder = std::move(folder);
  if (options.folder.empty()) {
    GPTQC_ASSIGN(options.folder, DiskCache::defaultFolder());
  }
  if (const char *layers = std::getenv("GPTQC_CACHE_LAYERS"))
    for (const std::string_view layer : splitAt(layers, ':'))
      if (!layer.empty())
        options.layers.emplace_back(layer);
  if (const char *size = std::getenv("GPTQC_CACHE_SIZE"); size && *size) {
    const std::optional<int64_t> bytes = parseByteSize(size);
    if (!bytes)
      return invalidArgument("GPTQC_CACHE_SIZE is '{}'; write bytes, or e.g. 500M or 2G", size);
    options.maxBytes = *bytes;
  }
  return options;
}

DiskCache::DiskCache(CacheOptions options, Log log)
    : options(std::move(options)), log(std::move(log)) {}

DiskCache::DiskCache(std::filesystem::path folder, Log log)
    : DiskCache(CacheOptions{std::move(folder), {}, 0}, std::move(log)) {}

std::optional<KernelImage> DiskCache::findBuildIn(const std::filesystem::path &root,
                                                  std::string_view buildKey) const {
  Result<KernelImage> image = readBuild(root, buildKey);
  if (!image.ok()) {
    if (image.status().code() != Code::NotFound)
      log.warning("kernel cache: {}; compiling again", image.status().message());
    return std::nullopt;
  }
  if (root == options.folder)
    CacheFolder(root).touch(buildKey);
  return std::move(*image);
}

std::optional<KernelImage> DiskCache::findRequestIn(const std::filesystem::path &root,
                                                    std::string_view requestKey) const {
  const Result<std::string> buildKey = readRequest(root, requestKey);
  if (buildKey.ok())
    return findBuildIn(root, *buildKey);
  if (buildKey.status().code() != Code::NotFound)
    log.warning("kernel cache: {}; compiling again", buildKey.status().message());
  return std::nullopt;
}

std::optional<KernelImage> DiskCache::findBuild(std::string_view buildKey) const {
  if (!isKey(buildKey))
    return std::nullopt;
  std::optional<KernelImage> image = findBuildIn(options.folder, buildKey);
  for (size_t i = 0; !image && i < options.layers.size(); ++i)
    image = findBuildIn(options.layers[i], buildKey);
  return image;
}

std::optional<KernelImage> DiskCache::findRequest(const KernelRequest &request) const {
  const std::string key = request.key();
  std::optional<KernelImage> image = findRequestIn(options.folder, key);
  for (size_t i = 0; !image && i < options.layers.size(); ++i)
    image = findRequestIn(options.layers[i], key);
  log.event(Topic::Cache, "{}: {}{}", image ? "hit" : "miss", request.print(),
            image ? " | build " + image->buildKey.substr(0, 12) : "");
  return image;
}

Status DiskCache::write(const std::filesystem::path &path, const void *data, size_t size) const {
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  if (error)
    return makeError(Code::IoError, "cannot create {}: {}", path.parent_path().string(),
                     error.message());
  return writeFileAtomically(path, data, size);
}

Status DiskCache::store(const KernelRequest &request, const KernelImage &image) const {
  if (!isKey(image.buildKey))
    return invalidArgument("kernel cache: build key '{}' is no SHA-256", image.buildKey);
  const std::vector<uint8_t> bytes = image.serialize();
  Status status =
      write(pathOf(options.folder, kBuilds, image.buildKey), bytes.data(), bytes.size());
  if (status.ok()) {
    CacheFolder(options.folder).touch(image.buildKey);
    const std::string key = request.key();
    const std::string text = requestText(key, image.buildKey);
    status = write(pathOf(options.folder, kRequests, key), text.data(), text.size());
  }
  if (!status.ok() && !warnedUnwritable.exchange(true))
    log.warning("kernel cache: {}; kernels are compiled but not kept", status.message());
  log.event(Topic::Cache, "{}: {} | build {}", status.ok() ? "stored" : "not stored",
            request.print(), image.buildKey.substr(0, 12));
  if (status.ok())
    enforceLimit(int64_t(bytes.size()));
  return Status();
}

// Looking at the folder costs a walk over it, so it waits until a sixteenth of the limit is new;
// the room left for that keeps a single process below the limit.
void DiskCache::enforceLimit(int64_t stored) const {
  if (options.maxBytes <= 0)
    return;
  const int64_t slack = options.maxBytes / 16;
  if (unseenBytes.fetch_add(stored) + stored <= slack)
    return;
  unseenBytes = 0;
  const Result<CachePruned> pruned = CacheFolder(options.folder).prune(options.maxBytes - slack);
  if (pruned.ok() && pruned->builds > 0)
    log.event(Topic::Cache, "pruned {} builds of {} bytes, {} bytes kept", pruned->builds,
              pruned->bytes, pruned->keptBytes);
}

} // namespace gptqc
