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
#include <vector>

#include "runtime/core/Descriptor.h"
#include "runtime/core/KernelImage.h"
#include "runtime/core/Log.h"
#include "runtime/core/Status.h"
#include "runtime/core/Target.h"

namespace gptqc {

/// What a runtime without MLIR can compute about the kernel that it wants: text forms only.
struct KernelRequest {
  std::string descriptor; ///< with the M bucket; for a support kernel its file, entry and defines
  std::string target;     ///< Target::arch, e.g. "sm_90a": code does not depend on the GPU's name
  std::string schedule;   ///< empty: the compiler's choice
  std::string compilerBuild; ///< id of the compiler that would make it

  /// Of a linear kernel. What the compiler chooses depends on the number of multiprocessors, which
  /// is part of `target` then: "sm_90a sms132".
  static KernelRequest linear(const Descriptor &kernel, const Target &gpu, std::string schedule,
                              std::string compilerBuild);

  /// SHA-256 (hex) of all fields.
  std::string key() const;
  /// One line, for logs.
  std::string print() const;
};

/// Where a cache lies and how large it may grow.
struct CacheOptions {
  std::filesystem::path folder; ///< read and written
  /// Folders of the same form that are only read, asked after `folder` in this order: what a system
  /// or an image ships.
  std::vector<std::filesystem::path> layers;
  int64_t maxBytes = 0; ///< of the builds in `folder`; 0: no limit

  /// `folder`, or the default one when it is empty; layers from GPTQC_CACHE_LAYERS (separated by
  /// colons), the limit from GPTQC_CACHE_SIZE (bytes, or e.g. 500M, 2G). NotFound as
  /// DiskCache::defaultFolder, InvalidArgument for a size that is none.
  static Result<CacheOptions> fromEnvironment(std::filesystem::path folder = {});
};

/// Thread-safe, and safe beside other processes on the same folder: files appear whole, by rename.
/// A folder holds no path, so it can be copied or moved as a whole.
class DiskCache {
public:
  /// $GPTQC_CACHE_DIR, else $XDG_CACHE_HOME/gptqc, else ~/.cache/gptqc. NotFound when none of them
  /// is set.
  static Result<std::filesystem::path> defaultFolder();

  /// Touches nothing: the folder is made by the first store.
  explicit DiskCache(CacheOptions options, Log log = {});
  explicit DiskCache(std::filesystem::path folder, Log log = {});

  /// The image that answers a request, of the folder or a layer. Absent files are a miss; a damaged
  /// one is a miss and a warning.
  std::optional<KernelImage> findRequest(const KernelRequest &request) const;

  /// The image with this build key (64 hexadecimal digits), of the folder or a layer.
  std::optional<KernelImage> findBuild(std::string_view buildKey) const;

  /// Stores the image under image.buildKey and lets the request point to it. A folder that cannot
  /// be written costs one warning per cache object; the caller has its kernel all the same.
  /// Beyond the limit, the builds that were not used for longest go. InvalidArgument when
  /// image.buildKey is no SHA-256.
  Status store(const KernelRequest &request, const KernelImage &image) const;

  const std::filesystem::path &folder() const { return options.folder; }

private:
  std::optional<KernelImage> findBuildIn(const std::filesystem::path &root,
                                         std::string_view buildKey) const;
  std::optional<KernelImage> findRequestIn(const std::filesystem::path &root,
                                           std::string_view requestKey) const;
  Status write(const std::filesystem::path &path, const void *data, size_t size) const;
  void enforceLimit(int64_t stored) const;

  CacheOptions options;
  Log log;
  mutable std::atomic<bool> warnedUnwritable = false;
  /// Bytes stored since the folder's size was looked at; the first store looks.
  mutable std::atomic<int64_t> unseenBytes = INT64_MAX / 2;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_CORE_DISKCACHE_H
