// Recorded times of other projects' kernels, to be shown beside our own.
#ifndef GPTQC_CLI_BENCH_PEERTABLE_H
#define GPTQC_CLI_BENCH_PEERTABLE_H

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/Descriptor.h"
#include "runtime/core/Status.h"

namespace gptqc::cli {

/// The best recorded time of one layer at one token count.
struct PeerTime {
  Descriptor descriptor; ///< its range is the single token count
  std::string peer;      ///< e.g. "marlin"
  double microseconds = 0;
};

/// A list of recorded times; empty when nothing is known. Values; safe to read from any thread.
class PeerTable {
public:
  /// One `descriptor | peer | microseconds` a line; `#` starts a comment. `origin` names the text
  /// in errors, which say the line.
  static Result<PeerTable> parse(std::string_view text, std::string_view origin);
  static Result<PeerTable> read(const std::filesystem::path &path);

  /// The table that ships for a GPU (its short name, e.g. "h200"); empty when there is none.
  static PeerTable builtIn(std::string_view gpu);

  /// The time of `descriptor`, whatever its range, at m tokens; null when it was not recorded.
  const PeerTime *find(Descriptor descriptor, int64_t m) const;

  const std::vector<PeerTime> &all() const { return times; }

private:
  std::vector<PeerTime> times;
};

} // namespace gptqc::cli

#endif // GPTQC_CLI_BENCH_PEERTABLE_H
