// The files of a kernel cache folder: names, the text of a request, the checks of a build. Shared
// by DiskCache, which serves a process, and CacheFolder, which looks after the folder.
#ifndef GPTQC_RUNTIME_CORE_CACHEFORMAT_H
#define GPTQC_RUNTIME_CORE_CACHEFORMAT_H

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/core/KernelImage.h"
#include "runtime/core/Status.h"

namespace gptqc::cacheformat {

inline constexpr std::string_view kBuilds = "build", kRequests = "request";

/// 64 lower-case hexadecimal digits.
bool isKey(std::string_view key);

/// root/v1/<kind>/<2 digits>/<key>
std::filesystem::path pathOf(const std::filesystem::path &root, std::string_view kind,
                             std::string_view key);

/// The one text that a request file with this name may hold to point to `buildKey`.
std::string requestText(std::string_view requestKey, std::string_view buildKey);

/// The build that a request file points to; nothing when it is damaged.
std::optional<std::string> parseRequest(std::string_view text, std::string_view requestKey);

/// Reads a request file and says which build it names. NotFound when it is absent, DataCorrupt when
/// it is damaged.
Result<std::string> readRequest(const std::filesystem::path &root, std::string_view requestKey);

/// Reads a build and checks its length, digest and key. NotFound when it is absent.
Result<KernelImage> readBuild(const std::filesystem::path &root, std::string_view buildKey);

} // namespace gptqc::cacheformat

#endif // GPTQC_RUNTIME_CORE_CACHEFORMAT_H
