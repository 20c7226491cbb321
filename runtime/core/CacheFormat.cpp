// Everything read from a cache folder is checked here before it is used.
#include "runtime/core/CacheFormat.h"

#include "runtime/core/AtomicFile.h"
#include "runtime/core/Hash.h"

namespace gptqc::cacheformat {
namespace {

constexpr uint64_t kMaxImageBytes = uint64_t(256) << 20;
constexpr uint64_t kMaxRequestBytes = 1 << 16;
constexpr std::string_view kRequestHead = "gptqc-request 1 ";

} // namespace

bool isKey(std::string_view key) {
  return key.size() == 64 && key.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::filesystem::path pathOf(const std::filesystem::path &root, std::string_view kind,
                             std::string_view key) {
  return root / "v1" / kind / key.substr(0, 2) / key;
}

std::string requestText(std::string_view requestKey, std::string_view buildKey) {
  const std::string check = toHex(Sha256().updateField(requestKey).updateField(buildKey).finish());
  return fmt::format("{}{} {}\n", kRequestHead, buildKey, check);
}

std::optional<std::string> parseRequest(std::string_view text, std::string_view requestKey) {
  const std::string buildKey(
      text.size() > kRequestHead.size() ? text.substr(kRequestHead.size(), 64) : "");
  if (!isKey(buildKey) || text != requestText(requestKey, buildKey))
    return std::nullopt;
  return buildKey;
}

Result<std::string> readRequest(const std::filesystem::path &root, std::string_view requestKey) {
  const std::filesystem::path path = pathOf(root, kRequests, requestKey);
  GPTQC_ASSIGN(const std::vector<uint8_t> bytes, readFile(path, kMaxRequestBytes));
  const std::string_view text(reinterpret_cast<const char *>(bytes.data()), bytes.size());
  std::optional<std::string> buildKey = parseRequest(text, requestKey);
  if (!buildKey)
    return dataCorrupt("{}: damaged entry", path.string());
  return std::move(*buildKey);
}

Result<KernelImage> readBuild(const std::filesystem::path &root, std::string_view buildKey) {
  const std::filesystem::path path = pathOf(root, kBuilds, buildKey);
  GPTQC_ASSIGN(const std::vector<uint8_t> bytes, readFile(path, kMaxImageBytes));
  GPTQC_ASSIGN(KernelImage image,
               KernelImage::deserialize(bytes.data(), bytes.size(), path.string()));
  if (image.buildKey != buildKey)
    return dataCorrupt("{}: holds another build", path.string());
  return image;
}

} // namespace gptqc::cacheformat
