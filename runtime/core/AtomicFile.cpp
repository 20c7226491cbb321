// Temporary, fsync, rename; and the errors of the file system in one line each.
#include "runtime/core/AtomicFile.h"

#include <atomic>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace gptqc {
namespace {

Status ioError(std::string_view action, const std::filesystem::path &path, int error) {
  std::string_view remedy;
  if (error == ENOSPC || error == EDQUOT)
    remedy = "; free some space or choose another folder";
  else if (error == EROFS || error == EACCES || error == EPERM)
    remedy = "; choose a folder that can be written";
  else if (error == ENOENT)
    remedy = "; its folder does not exist";
  return makeError(Code::IoError, "cannot {} {}: {}{}", action, path.string(),
                   std::generic_category().message(error), remedy);
}

/// A rename is durable only once its folder is; some file systems cannot sync a folder, which is no
/// error.
void syncFolder(const std::filesystem::path &folder) {
  const int fd = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return;
  (void)::fsync(fd);
  ::close(fd);
}

/// What a rename to `path` would replace, links followed: a file, or nothing yet. A device, a pipe
/// or a folder is refused, for the rename would put a file in its place.
Result<std::filesystem::path> replaceable(std::filesystem::path path) {
  struct stat info = {};
  if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode))
    return makeError(Code::InvalidArgument, "{} is no regular file; name one to write",
                     path.string());
  std::error_code error;
  for (int links = 0; std::filesystem::is_symlink(path, error); ++links) {
    if (links == 40)
      return ioError("write", path, ELOOP);
    const std::filesystem::path next = std::filesystem::read_symlink(path, error);
    path = next.is_absolute() ? next : path.parent_path() / next;
  }
  return path;
}

} // namespace

AtomicFile::AtomicFile(int fd, std::filesystem::path target, std::filesystem::path temporary)
    : fd(fd), target(std::move(target)), temporary(std::move(temporary)) {}

AtomicFile::AtomicFile(AtomicFile &&other) noexcept
    : fd(std::exchange(other.fd, -1)), target(std::move(other.target)),
      temporary(std::move(other.temporary)), written(other.written) {}

AtomicFile &AtomicFile::operator=(AtomicFile &&other) noexcept {
  if (this != &other) {
    discard();
    fd = std::exchange(other.fd, -1);
    target = std::move(other.target);
    temporary = std::move(other.temporary);
    written = other.written;
  }
  return *this;
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::discard() {
  if (fd < 0)
    return;
  ::close(std::exchange(fd, -1));
  ::unlink(temporary.c_str());
}

Result<AtomicFile> AtomicFile::create(const std::filesystem::path &path) {
  static std::atomic<uint64_t> counter = 0;
  GPTQC_ASSIGN(const std::filesystem::path target, replaceable(path));
  // Long target names are cut so that the temporary's name stays within NAME_MAX.
  const std::string stem = target.filename().string().substr(0, 180);
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const std::filesystem::path temporary =
        target.parent_path() / fmt::format(".{}.{}-{}.tmp", stem, ::getpid(), counter++);
    const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0)
      return AtomicFile(fd, target, temporary);
    if (errno != EEXIST) // EEXIST: left by a killed process that had our id
      return ioError("write", target, errno);
  }
  return makeError(Code::IoError,
                   "cannot write {}: too many temporary files beside it; remove .*.tmp",
                   target.string());
}

Status AtomicFile::write(const void *data, size_t size) {
  const auto *bytes = static_cast<const char *>(data);
  while (size > 0) {
    const ssize_t count = ::write(fd, bytes, size);
    if (count < 0) {
      if (errno == EINTR)
        continue;
      return ioError("write", target, errno);
    }
    bytes += count;
    size -= size_t(count);
    written += uint64_t(count);
  }
  return Status();
}

Status AtomicFile::writeAt(uint64_t offset, const void *data, size_t size) const {
  const auto *bytes = static_cast<const char *>(data);
  while (size > 0) {
    const ssize_t count = ::pwrite(fd, bytes, size, off_t(offset));
    if (count < 0) {
      if (errno == EINTR)
        continue;
      return ioError("write", target, errno);
    }
    bytes += count;
    offset += uint64_t(count);
    size -= size_t(count);
  }
  return Status();
}

Status AtomicFile::commit() {
  if (::fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP) {
    const Status error = ioError("write", target, errno);
    discard();
    return error;
  }
  if (::close(std::exchange(fd, -1)) != 0 || ::rename(temporary.c_str(), target.c_str()) != 0) {
    const Status error = ioError("write", target, errno);
    ::unlink(temporary.c_str());
    return error;
  }
  syncFolder(target.parent_path());
  return Status();
}

Status writeFileAtomically(const std::filesystem::path &path, const void *data, size_t size) {
  GPTQC_ASSIGN(AtomicFile file, AtomicFile::create(path));
  GPTQC_TRY(file.write(data, size));
  return file.commit();
}

Status writeFileAtomically(const std::filesystem::path &path, std::string_view text) {
  return writeFileAtomically(path, text.data(), text.size());
}

Result<std::vector<uint8_t>> readFile(const std::filesystem::path &path, uint64_t maxBytes) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    if (errno == ENOENT)
      return makeError(Code::NotFound, "{}: no such file", path.string());
    return ioError("read", path, errno);
  }
  std::vector<uint8_t> bytes;
  struct stat info = {};
  int error = ::fstat(fd, &info) == 0 ? 0 : errno;
  const bool tooLarge = error == 0 && uint64_t(info.st_size) > maxBytes;
  if (error == 0 && !tooLarge) {
    bytes.resize(size_t(info.st_size));
    size_t done = 0;
    while (done < bytes.size() && error == 0) {
      const ssize_t count = ::read(fd, bytes.data() + done, bytes.size() - done);
      if (count > 0)
        done += size_t(count);
      else if (count == 0)
        bytes.resize(done); // the file shrank while it was read
      else if (errno != EINTR)
        error = errno;
    }
  }
  ::close(fd);
  if (tooLarge)
    return dataCorrupt("{}: {} bytes, more than the {} that such a file may have", path.string(),
                       int64_t(info.st_size), maxBytes);
  if (error != 0)
    return ioError("read", path, error);
  return bytes;
}

} // namespace gptqc
