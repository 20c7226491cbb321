// AtomicFile: how every file of ours is written. The bytes go to a temporary in the target's
// folder; commit flushes it to the disk and renames it, so a reader sees the old file or the new
// one, never a part.
#ifndef GPTQC_RUNTIME_CORE_ATOMICFILE_H
#define GPTQC_RUNTIME_CORE_ATOMICFILE_H

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "runtime/core/Status.h"

namespace gptqc {

/// A file that is being written. Movable, owned by one thread. Without commit the destructor
/// removes the temporary and the target stays as it was. A process that is killed leaves at most a
/// temporary, named
/// `.<target>.<pid>-<number>.tmp`.
class AtomicFile {
public:
  /// Opens a temporary beside `target`, or beside what `target` links to; the folder must exist and
  /// be writable. IoError otherwise; InvalidArgument when `target` is a device, a pipe or a folder.
  static Result<AtomicFile> create(const std::filesystem::path &target);

  AtomicFile(AtomicFile &&other) noexcept;
  AtomicFile &operator=(AtomicFile &&other) noexcept;
  ~AtomicFile();

  /// Appends bytes. After an error (a full disk) the only useful call is the destructor.
  Status write(const void *data, size_t size);
  Status write(std::string_view text) { return write(text.data(), text.size()); }

  /// Writes at a byte offset, in any order; several threads may do so at once. Not to be mixed with
  /// write(); gaps read as zero.
  Status writeAt(uint64_t offset, const void *data, size_t size) const;

  /// Flushes to the disk and replaces the target; the file is closed afterwards.
  Status commit();

  const std::filesystem::path &temporaryPath() const { return temporary; }
  uint64_t bytesWritten() const { return written; }

private:
  AtomicFile(int fd, std::filesystem::path target, std::filesystem::path temporary);
  void discard();

  int fd = -1;
  std::filesystem::path target, temporary;
  uint64_t written = 0;
};

/// create, write, commit.
Status writeFileAtomically(const std::filesystem::path &path, const void *data, size_t size);
Status writeFileAtomically(const std::filesystem::path &path, std::string_view text);

/// The whole file; NotFound when there is none, IoError when it cannot be read, DataCorrupt when it
/// is larger than `maxBytes`.
Result<std::vector<uint8_t>> readFile(const std::filesystem::path &path,
                                      uint64_t maxBytes = uint64_t(1) << 32);

} // namespace gptqc

#endif // GPTQC_RUNTIME_CORE_ATOMICFILE_H
