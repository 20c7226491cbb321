// CacheFolder: looks after a kernel cache folder: what is in it, whether it is sound, what has to
// go when it grows too large. Safe while other processes use the folder: files appear by rename and
// go by unlink, and a build that vanishes between two steps is a miss.
#ifndef GPTQC_RUNTIME_CORE_CACHEFOLDER_H
#define GPTQC_RUNTIME_CORE_CACHEFOLDER_H

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "runtime/core/KernelImage.h"
#include "runtime/core/Status.h"

namespace gptqc {

/// A stored build.
struct CacheEntry {
  std::string buildKey;
  std::filesystem::path path;
  int64_t bytes = 0;
  int64_t lastUse = 0; ///< nanoseconds since 1970; a stamp that orders prune, nothing else
};

struct CacheCheck {
  int64_t builds = 0, requests = 0, bytes = 0; ///< all, the damaged included
  int64_t dangling = 0;             ///< requests whose build is gone (pruned): harmless, a miss
  std::vector<std::string> damaged; ///< one line each, naming the file
  int64_t removed = 0;
};

struct CachePruned {
  int64_t builds = 0, bytes = 0;       ///< removed
  int64_t requests = 0, leftOvers = 0; ///< removed: requests without a build, old temporaries
  int64_t keptBuilds = 0, keptBytes = 0;
};

class CacheFolder {
public:
  explicit CacheFolder(std::filesystem::path folder) : root(std::move(folder)) {}

  /// All builds, the last used first. A folder that does not exist is an empty cache.
  Result<std::vector<CacheEntry>> list() const;

  /// Reads a listed build; DataCorrupt when it is damaged, NotFound when it is gone.
  Result<KernelImage> read(const CacheEntry &entry) const;

  /// Reads every file and checks digests; `remove` deletes what is damaged.
  Result<CacheCheck> verify(bool remove) const;

  /// Removes the builds that were not used for longest until at most `maxBytes` are left, then
  /// requests that point nowhere and temporaries that a killed process left an hour ago or more.
  Result<CachePruned> prune(int64_t maxBytes) const;

  /// Marks a build as used now; failures (a read-only folder) do not matter.
  void touch(std::string_view buildKey) const;

private:
  std::filesystem::path root;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_CORE_CACHEFOLDER_H
