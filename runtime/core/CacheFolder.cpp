// Walks over the two levels of a cache folder.
#include "runtime/core/CacheFolder.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <functional>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>

#include "runtime/core/CacheFormat.h"

namespace gptqc {
namespace {

namespace fs = std::filesystem;
using namespace cacheformat;

constexpr int64_t kNanoseconds = 1'000'000'000;
constexpr int64_t kLeftOverAge = 3600 * kNanoseconds;

int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

struct FileFacts {
  int64_t bytes = 0, stamp = 0;
};

/// Nothing when the file is gone or no regular file.
std::optional<FileFacts> factsOf(const fs::path &path) {
  struct stat info = {};
  if (::lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode))
    return std::nullopt;
  return FileFacts{int64_t(info.st_size),
                   int64_t(info.st_mtim.tv_sec) * kNanoseconds + info.st_mtim.tv_nsec};
}

/// Calls visit for each file of root/v1/<kind>/<2 digits>/. Folders that vanish meanwhile are
/// skipped.
Status forEachFile(const fs::path &root, std::string_view kind,
                   const std::function<void(const fs::path &)> &visit) {
  const fs::path top = root / "v1" / kind;
  std::error_code error;
  fs::directory_iterator folders(top, error);
  if (error == std::errc::no_such_file_or_directory)
    return Status();
  if (error)
    return makeError(Code::IoError, "cannot list {}: {}", top.string(), error.message());
  for (; !error && folders != fs::directory_iterator(); folders.increment(error)) {
    std::error_code inner;
    fs::directory_iterator files(folders->path(), inner);
    for (; !inner && files != fs::directory_iterator(); files.increment(inner))
      visit(files->path());
  }
  return Status();
}

bool removeFile(const fs::path &path) {
  std::error_code error;
  return fs::remove(path, error) && !error;
}

bool isLeftOver(const fs::path &path) {
  const std::string name = path.filename().string();
  if (!name.starts_with('.') || !name.ends_with(".tmp"))
    return false;
  const std::optional<FileFacts> facts = factsOf(path);
  return facts && now() - facts->stamp > kLeftOverAge;
}

} // namespace

Result<std::vector<CacheEntry>> CacheFolder::list() const {
  std::vector<CacheEntry> entries;
  GPTQC_TRY(forEachFile(root, kBuilds, [&](const fs::path &path) {
    const std::string key = path.filename().string();
    if (!isKey(key))
      return;
    if (const std::optional<FileFacts> facts = factsOf(path))
      entries.push_back({key, path, facts->bytes, facts->stamp});
  }));
  std::sort(entries.begin(), entries.end(), [](const CacheEntry &a, const CacheEntry &b) {
    return a.lastUse != b.lastUse ? a.lastUse > b.lastUse : a.buildKey < b.buildKey;
  });
  return entries;
}

Result<KernelImage> CacheFolder::read(const CacheEntry &entry) const {
  return readBuild(root, entry.buildKey);
}

Result<CacheCheck> CacheFolder::verify(bool remove) const {
  CacheCheck check;
  const auto damaged = [&](const fs::path &path, const Status &status) {
    check.damaged.push_back(status.message());
    if (remove && removeFile(path))
      ++check.removed;
  };
  GPTQC_ASSIGN(const std::vector<CacheEntry> entries, list());
  for (const CacheEntry &entry : entries) {
    const Result<KernelImage> image = read(entry);
    if (image.status().code() == Code::NotFound)
      continue; // another process pruned it
    ++check.builds;
    check.bytes += entry.bytes;
    if (!image.ok())
      damaged(entry.path, image.status());
  }
  GPTQC_TRY(forEachFile(root, kRequests, [&](const fs::path &path) {
    const std::string key = path.filename().string();
    if (!isKey(key))
      return;
    const Result<std::string> build = readRequest(root, key);
    if (build.status().code() == Code::NotFound)
      return;
    ++check.requests;
    if (!build.ok())
      damaged(path, build.status());
    else if (!factsOf(pathOf(root, kBuilds, *build)))
      ++check.dangling;
  }));
  return check;
}

Result<CachePruned> CacheFolder::prune(int64_t maxBytes) const {
  GPTQC_ASSIGN(const std::vector<CacheEntry> entries, list());
  CachePruned pruned;
  for (const CacheEntry &entry : entries) { // the last used first
    if (pruned.keptBytes + entry.bytes <= maxBytes && pruned.builds == 0) {
      ++pruned.keptBuilds;
      pruned.keptBytes += entry.bytes;
    } else if (removeFile(entry.path)) {
      ++pruned.builds;
      pruned.bytes += entry.bytes;
    }
  }
  GPTQC_TRY(forEachFile(root, kRequests, [&](const fs::path &path) {
    const std::string key = path.filename().string();
    if (isLeftOver(path)) {
      pruned.leftOvers += removeFile(path);
    } else if (isKey(key)) {
      // A build is stored before the request that names it, so one that is absent now was pruned.
      const Result<std::string> build = readRequest(root, key);
      if (build.ok() && !factsOf(pathOf(root, kBuilds, *build)))
        pruned.requests += removeFile(path);
    }
  }));
  GPTQC_TRY(forEachFile(root, kBuilds, [&](const fs::path &path) {
    if (isLeftOver(path))
      pruned.leftOvers += removeFile(path);
  }));
  return pruned;
}

void CacheFolder::touch(std::string_view buildKey) const {
  // The system's own stamps move in steps of milliseconds: two uses would look the same.
  timespec stamp = {};
  (void)::clock_gettime(CLOCK_REALTIME, &stamp);
  const std::array<timespec, 2> both = {stamp, stamp};
  (void)::utimensat(AT_FDCWD, pathOf(root, kBuilds, buildKey).c_str(), both.data(), 0);
}

} // namespace gptqc
