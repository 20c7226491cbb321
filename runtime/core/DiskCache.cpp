// Lookup verifies, store renames. Entries never expire by time: a key names its content.
#include "runtime/core/DiskCache.h"

#include <cstdlib>

#include "runtime/core/AtomicFile.h"
#include "runtime/core/Hash.h"

namespace gptqc {
namespace {

constexpr uint64_t kMaxImageBytes = uint64_t(256) << 20;
constexpr uint64_t kMaxRequestBytes = 1 << 16;

bool isSha256(std::string_view key) {
  return key.size() == 64 && key.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// `gptqc-request 1 <build key> <SHA-256 of the build key and request key>`: a request is damaged
/// exactly when it differs from this for the build key that it names.
std::string requestText(std::string_view requestKey, std::string_view buildKey) {
  const std::string check = toHex(Sha256().updateField(requestKey).updateField(buildKey).finish());
  return fmt::format("gptqc-request 1 {} {}\n", buildKey, check);
}

constexpr size_t kBuildKeyOffset = std::string_view("gptqc-request 1 ").size();

} // namespace

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

DiskCache::DiskCache(std::filesystem::path folder, Log log)
    : root(std::move(folder)), log(std::move(log)) {}

std::filesystem::path DiskCache::pathOf(std::string_view kind, std::string_view key) const {
  return root / "v1" / kind / key.substr(0, 2) / key;
}

std::optional<KernelImage> DiskCache::findBuild(std::string_view buildKey) const {
  if (!isSha256(buildKey))
    return std::nullopt;
  const std::filesystem::path path = pathOf("build", buildKey);
  const auto bytes = readFile(path, kMaxImageBytes);
  if (!bytes.ok()) {
    if (bytes.status().code() != Code::NotFound)
      log.warning("kernel cache: {}; compiling again", bytes.status().message());
    return std::nullopt;
  }
  auto image = KernelImage::deserialize(bytes->data(), bytes->size(), path.string());
  if (!image.ok()) {
    log.warning("kernel cache: {}; compiling again", image.status().message());
    return std::nullopt;
  }
  if (image->buildKey != buildKey) {
    log.warning("kernel cache: {}: holds another build; compiling again", path.string());
    return std::nullopt;
  }
  return std::move(*image);
}

std::optional<KernelImage> DiskCache::findRequest(const KernelRequest &request) const {
  const std::string key = request.key();
  const std::filesystem::path path = pathOf("request", key);
  const auto bytes = readFile(path, kMaxRequestBytes);
  if (!bytes.ok()) {
    if (bytes.status().code() != Code::NotFound)
      log.warning("kernel cache: {}; compiling again", bytes.status().message());
    log.event(Topic::Cache, "miss: {}", request.print());
    return std::nullopt;
  }
  const std::string text(bytes->begin(), bytes->end());
  const std::string buildKey =
      text.size() > kBuildKeyOffset ? text.substr(kBuildKeyOffset, 64) : "";
  if (!isSha256(buildKey) || text != requestText(key, buildKey)) {
    log.warning("kernel cache: {}: damaged entry; compiling again", path.string());
    return std::nullopt;
  }
  std::optional<KernelImage> image = findBuild(buildKey);
  log.event(Topic::Cache, "{}: {} | build {}", image ? "hit" : "miss", request.print(),
            buildKey.substr(0, 12));
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
  if (!isSha256(image.buildKey))
    return invalidArgument("kernel cache: build key '{}' is no SHA-256", image.buildKey);
  const std::vector<uint8_t> bytes = image.serialize();
  Status status = write(pathOf("build", image.buildKey), bytes.data(), bytes.size());
  if (status.ok()) {
    const std::string key = request.key();
    const std::string text = requestText(key, image.buildKey);
    status = write(pathOf("request", key), text.data(), text.size());
  }
  if (!status.ok() && !warnedUnwritable.exchange(true))
    log.warning("kernel cache: {}; kernels are compiled but not kept", status.message());
  log.event(Topic::Cache, "{}: {} | build {}", status.ok() ? "stored" : "not stored",
            request.print(), image.buildKey.substr(0, 12));
  return Status();
}

} // namespace gptqc
