// Temporary folder, rename, and the replacement of an older folder.
#include "runtime/checkpoint/OutputFolder.h"

#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace gptqc {
namespace {

namespace fs = std::filesystem;

Status ioError(std::string_view action, const fs::path &path, const std::error_code &error) {
  return makeError(Code::IoError, "cannot {} {}: {}; choose a folder that can be written", action,
                   path.string(), error.message());
}

void syncFolder(const fs::path &folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return;
  (void)::fsync(fd);
  ::close(fd);
}

/// The folder, locked until it is closed; -1 when another process has it.
int lockFolder(const fs::path &folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0 && ::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    ::close(fd);
    return -1;
  }
  return fd;
}

/// Removes `<target>.tmp-<pid>` of processes that were killed: nobody holds their locks.
void removeLeftovers(const fs::path &target) {
  const std::string prefix = target.filename().string() + ".tmp-";
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator it(target.parent_path(), error), end; !error && it != end;
       it.increment(error))
    if (it->path().filename().string().rfind(prefix, 0) == 0)
      found.push_back(it->path());
  for (const fs::path &folder : found)
    if (const int fd = lockFolder(folder); fd >= 0) {
      fs::remove_all(folder, error);
      ::close(fd);
    }
}

/// Links resolved as far as the path exists.
fs::path resolved(const fs::path &path) {
  std::error_code error;
  const fs::path full = fs::weakly_canonical(path, error);
  return error ? fs::absolute(path, error).lexically_normal() : full;
}

Status keepInputs(const fs::path &target, const std::vector<fs::path> &inputs) {
  const fs::path folder = resolved(target);
  for (const fs::path &input : inputs) {
    if (input.empty())
      continue; // none given
    const fs::path from = resolved(input).lexically_relative(folder);
    if (from == ".")
      return invalidArgument("{} is the model itself; choose another output folder",
                             target.string());
    if (!from.empty() && *from.begin() != "..")
      return invalidArgument("{} holds {}, which is read; choose another output folder",
                             target.string(), input.string());
  }
  return Status();
}

/// Nothing but a model may be replaced: a slip such as `-o ~ --force` must not cost a home folder.
Status checkReplaceable(const fs::path &folder) {
  const auto refuse = [&](const std::string &what) {
    return invalidArgument("{} {}, and --force replaces models alone; choose another folder, or "
                           "empty this one",
                           folder.string(), what);
  };
  bool isModel = false;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (fs::is_directory(it->symlink_status(error)))
      return refuse(fmt::format("holds the folder {}", name));
    isModel = isModel || name == "config.json" || name == "quantize_config.json";
  }
  if (error)
    return ioError("read", folder, error);
  return isModel ? Status() : refuse("holds no config.json");
}

} // namespace

Result<OutputFolder> OutputFolder::create(const fs::path &target, bool force,
                                          const std::vector<fs::path> &inputs) {
  GPTQC_TRY(keepInputs(target, inputs));
  std::error_code error;
  fs::path full = fs::absolute(target, error).lexically_normal();
  if (!full.has_filename())
    full = full.parent_path();
  if (!full.has_filename())
    return invalidArgument("{} cannot be an output folder; name a new one", target.string());
  const fs::file_status status = fs::symlink_status(full, error);
  if (fs::exists(status)) {
    if (!fs::is_directory(status))
      return invalidArgument("{} exists and is no folder; choose another name", full.string());
    const bool isEmpty = fs::is_empty(full, error);
    if (!force && !isEmpty)
      return invalidArgument("{} is not empty; choose another folder or pass --force to replace it",
                             full.string());
    if (!isEmpty)
      GPTQC_TRY(checkReplaceable(full));
    if (::access(full.c_str(), W_OK) != 0)
      return makeError(Code::IoError, "{} cannot be written; choose another folder", full.string());
  }
  fs::create_directories(full.parent_path(), error);
  if (error)
    return ioError("create", full.parent_path(), error);
  fs::path temporary = full;
  temporary += fmt::format(".tmp-{}", ::getpid());
  removeLeftovers(full);
  if (!fs::create_directory(temporary, error))
    return ioError("create", temporary, error);
  const int lock = lockFolder(temporary);
  return OutputFolder(std::move(full), std::move(temporary), lock);
}

OutputFolder::OutputFolder(OutputFolder &&other) noexcept
    : target(std::move(other.target)), temporary(std::exchange(other.temporary, {})),
      lock(std::exchange(other.lock, -1)) {}

OutputFolder::~OutputFolder() {
  std::error_code error;
  if (!temporary.empty())
    fs::remove_all(temporary, error);
  if (lock >= 0)
    ::close(lock);
}

Status OutputFolder::commit() {
  syncFolder(temporary);
  std::error_code error;
  fs::path old;
  if (fs::exists(target, error) && !fs::is_empty(target, error)) {
    GPTQC_TRY(checkReplaceable(target)); // it had time to change
    old = target;
    old += fmt::format(".old-{}", ::getpid());
    fs::rename(target, old, error);
    if (error)
      return ioError("replace", target, error);
  }
  fs::rename(temporary, target, error); // replaces an empty folder
  if (error) {
    const Status failure = ioError("create", target, error);
    if (!old.empty())
      fs::rename(old, target, error);
    return failure;
  }
  temporary.clear();
  syncFolder(target.parent_path());
  if (!old.empty())
    fs::remove_all(old, error);
  return Status();
}

} // namespace gptqc
