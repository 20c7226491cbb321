// A folder that appears whole or not at all: written under a temporary name beside the target,
// renamed at the end.
#ifndef GPTQC_RUNTIME_CHECKPOINT_OUTPUTFOLDER_H
#define GPTQC_RUNTIME_CHECKPOINT_OUTPUTFOLDER_H

#include <filesystem>
#include <vector>

#include "runtime/core/Status.h"

namespace gptqc {

/// Movable. Without commit the destructor removes everything. A process that is killed leaves at
/// most `<target>.tmp-<pid>`, which the next one with the same target removes.
class OutputFolder {
public:
  /// InvalidArgument when `target` exists and is no empty folder, unless `force` is set and it is a
  /// model: it holds a config.json and no folders (then commit replaces it); and when one of the
  /// `inputs` (files or folders that are read) is `target` or lies in it; IoError when its parent
  /// cannot be written.
  static Result<OutputFolder> create(const std::filesystem::path &target, bool force,
                                     const std::vector<std::filesystem::path> &inputs = {});

  OutputFolder(OutputFolder &&other) noexcept;
  OutputFolder &operator=(OutputFolder &&) = delete;
  ~OutputFolder();

  /// Where to write the files now.
  const std::filesystem::path &path() const { return temporary; }

  /// Renames the folder to its target. The files must be flushed already.
  Status commit();

private:
  OutputFolder(std::filesystem::path target, std::filesystem::path temporary, int lock)
      : target(std::move(target)), temporary(std::move(temporary)), lock(lock) {}

  std::filesystem::path target, temporary;
  int lock = -1; ///< the temporary, open and locked: that of a live process
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_CHECKPOINT_OUTPUTFOLDER_H
