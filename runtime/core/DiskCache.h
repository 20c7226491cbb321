// DiskCache: compiled kernels in a content-addressed folder, shared by processes.
//   v1/request/<2 digits>/<request key>   text: which build answers a request (no compiler needed
//   to ask) v1/build/<2 digits>/<build key>       KernelImage::serialize
#ifndef GPTQC_RUNTIME_CORE_DISKCACHE_H
#define GPTQC_RUNTIME_CORE_DISKCACHE_H

#include <atomic>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/core/KernelImage.h"
#include "runtime/core/Log.h"
#include "runtime/core/Status.h"

namespace gptqc {

/// What a runtime without MLIR can compute about the kernel that it wants: text forms only.
struct KernelRequest {
  std::string descriptor; ///< with the M bucket; for a support kernel its file, entry and defines
  std::string target;     ///< Target::arch, e.g. "sm_90a": cubins do not depend on name or SM count
  std::string schedule;   ///< empty: the compiler's choice
  std::string compilerBuild; ///< id of the compiler that would make it

  /// SHA-256 (hex) of all fields.
  std::string key() const;
  /// One line, for logs.
  std::string print() const;
};

/// Thread-safe, and safe beside other processes on the same folder: files appear whole, by rename.
class DiskCache {
public:
  /// $GPTQC_CACHE_DIR, else $XDG_CACHE_HOME/gptqc, else ~/.cache/gptqc. NotFound when none of them
  /// is set.
  static Result<std::filesystem::path> defaultFolder();

  /// Touches nothing: the folder is made by the first store.
  explicit DiskCache(std::filesystem::path folder, Log log = {});

  /// The image that answers a request. Absent files are a miss; a damaged one is a miss and a
  /// warning.
  std::optional<KernelImage> findRequest(const KernelRequest &request) const;

  /// The image with this build key (64 hexadecimal digits).
  std::optional<KernelImage> findBuild(std::string_view buildKey) const;

  /// Stores the image under image.buildKey and lets the request point to it. A folder that cannot
  /// be written costs one warning per cache object; the caller has its kernel all the same.
  /// InvalidArgument when image.buildKey is no SHA-256.
  Status store(const KernelRequest &request, const KernelImage &image) const;

  const std::filesystem::path &folder() const { return root; }

private:
  std::filesystem::path pathOf(std::string_view kind, std::string_view key) const;
  Status write(const std::filesystem::path &path, const void *data, size_t size) const;

  std::filesystem::path root;
  Log log;
  mutable std::atomic<bool> warnedUnwritable = false;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_CORE_DISKCACHE_H
