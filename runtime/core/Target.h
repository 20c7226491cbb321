// Target: which GPU a kernel is for. Text form: `sm_90a h200 sms132` (name and SM count optional).
#ifndef GPTQC_RUNTIME_CORE_TARGET_H
#define GPTQC_RUNTIME_CORE_TARGET_H

#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/Status.h"

namespace gptqc {

struct Target {
  int capability = 90; ///< compute capability: 75, 80, 86, 89, 90, 100, 120
  bool archSpecific =
      true;         ///< the `a` suffix: wgmma, setmaxnreg; such code runs on this capability only
  std::string name; ///< lower-case marketing name, e.g. "h200"; may be empty
  int smCount = 0;  ///< multiprocessors; 0: unknown

  bool operator==(const Target &) const = default;

  static Result<Target> parse(std::string_view text);
  /// Several targets, separated by commas.
  static Result<std::vector<Target>> parseList(std::string_view text);
  std::string print() const;
  /// "sm_90a": what NVRTC's --gpu-architecture takes.
  std::string arch() const;

  /// Shared memory that one block may use, bytes (CUDA C Programming Guide, technical
  /// specifications).
  int maxSharedMemory() const;
  /// Multiprocessors to plan for: smCount, or a typical part of this capability when it is unknown.
  int plannedSmCount() const;
  bool hasCpAsync() const { return capability >= 80; }
  bool hasClusters() const { return capability >= 90; }
  bool hasProgrammaticLaunch() const { return capability >= 90; }
  bool hasWgmma() const { return capability == 90 && archSpecific; }
  bool hasBf16Mma() const { return capability >= 80; }
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_CORE_TARGET_H
