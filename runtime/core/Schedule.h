// Schedule: how a descriptor is computed. Text form: `mma t64x16x128 warps4 kwarps4 stages4
// splitk2`. A value only: what is legal for a descriptor and target is decided in
// compiler/schedule/ScheduleSpace.
#ifndef GPTQC_RUNTIME_CORE_SCHEDULE_H
#define GPTQC_RUNTIME_CORE_SCHEDULE_H

#include <optional>
#include <string>
#include <string_view>

#include "runtime/core/Status.h"

namespace gptqc {

enum class Family { Simt, Mma, Wgmma, Gemv };
std::string_view familyName(Family family);
std::optional<Family> parseFamily(std::string_view name);

struct Schedule {
  Family family = Family::Simt;
  int tileN = 64;    ///< weight rows of a block's tile
  int tileM = 8;     ///< tokens of a block's tile
  int tileK = 64;    ///< packed k of one pipeline stage
  int warps = 4;     ///< warps of a block = nWarps * mWarps * kWarps
  int mWarps = 1;    ///< warps along tokens; printed as `mwarps2` when not 1
  int kWarps = 1;    ///< warps along k inside a stage; printed as `kwarps4` when not 1
  int stages = 1;    ///< shared-memory buffers of the load pipeline
  int splitK = 1;    ///< blocks along k, reduced in a fixed order; printed as `splitk2` when not 1
  int multicast = 1; ///< wgmma: blocks that load X together; printed as `multicast2` when not 1
  int unroll = 1;    ///< gemv: chunks of k computed side by side; printed as `unroll2` when not 1
  /// Bytes of one load of X: 2 takes any X, and permutes its columns; 16 needs aligned rows, or for
  /// layers that permute columns a kernel in front that does (simt: no meaning). Printed when not
  /// 16.
  int xVector = 16;

  bool operator==(const Schedule &) const = default;

  int nWarps() const { return warps / (mWarps * kWarps); }
  /// gemv: some of the warps of a block have rows of their own; else all of them lie along k.
  bool alongRows() const { return family == Family::Gemv && kWarps != warps; }
  /// gemv: warps besides `warps` that add up and store while the others stream.
  int reduceWarps() const {
    return family != Family::Gemv || alongRows() ? 0 : tileM <= 8 ? 1 : tileM <= 16 ? 2 : 4;
  }
  /// wgmma: warps besides `warps` that feed them.
  int feedWarps() const { return family == Family::Wgmma ? 4 : 0; }
  int threads() const { return (warps + reduceWarps() + feedWarps()) * 32; }

  static Result<Schedule> parse(std::string_view text);
  std::string print() const;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_CORE_SCHEDULE_H
