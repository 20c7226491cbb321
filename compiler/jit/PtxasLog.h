// What ptxas prints with -v, read into numbers.
#ifndef GPTQC_COMPILER_JIT_PTXASLOG_H
#define GPTQC_COMPILER_JIT_PTXASLOG_H

#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/KernelImage.h"

namespace gptqc {

struct EntryUsage {
  std::string entry;
  ResourceUsage usage;
};

struct PtxasReport {
  std::vector<EntryUsage> entries; ///< in the order of the log
  /// Lines with C7508, C7510 or C7512: setmaxnreg ignored, wgmma serialized. Fatal for default
  /// schedules.
  std::vector<std::string> performanceWarnings;
  std::string firstError; ///< first line that holds "error"; empty when there is none

  /// The usage of an entry; null when the log does not name it.
  const ResourceUsage *find(std::string_view entry) const;
};

/// Reads an NVRTC program log; unknown lines are skipped.
PtxasReport parsePtxasLog(std::string_view log);

} // namespace gptqc

#endif // GPTQC_COMPILER_JIT_PTXASLOG_H
