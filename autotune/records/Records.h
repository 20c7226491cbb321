// Tuning records: what was measured, one line of text each, so that people can read, check in and
// merge them:
//   w4 g128 sym f16->f16 n4096 k4096 m1..1 | sm_90a h200 sms132 | mma t64x8x256 ... |
//       us=5.31 spread=0.012 method=cold15 build=0.1.0-34457ef          (on one line)
#ifndef GPTQC_AUTOTUNE_RECORDS_RECORDS_H
#define GPTQC_AUTOTUNE_RECORDS_RECORDS_H

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/Descriptor.h"
#include "runtime/core/Schedule.h"
#include "runtime/core/Target.h"

namespace gptqc {

/// One measurement.
struct TuningRecord {
  Descriptor descriptor; ///< canonical, M is a bucket or a part of one
  Target target;         ///< with name and SM count where they are known
  Schedule schedule;
  double microseconds = 0; ///< time of one launch, > 0
  double spread = 0;       ///< relative: (upper - lower quartile) / median, >= 0
  std::string method;      ///< how it was measured, one word
  std::string build;       ///< which gptqc measured it, one word

  bool operator==(const TuningRecord &) const = default;

  /// parse(print()) gives the same value. InvalidArgument names the field; unknown keys are errors.
  static Result<TuningRecord> parse(std::string_view line);
  std::string print() const;
};

/// A set of records. Immutable lookups are safe from any thread.
class Records {
public:
  /// Lines of `text`; blank lines and those that start with # are skipped. A last line without its
  /// newline was torn by a crash and is left out (`torn` says so). Errors name `origin` and the
  /// line.
  static Result<Records> parse(std::string_view text, std::string_view origin);
  static Result<Records> load(const std::filesystem::path &path);

  /// All records, sorted and without repetitions: the union of files does not depend on their
  /// order.
  static Records merge(const std::vector<Records> &parts);

  /// The fastest schedule for the descriptor's computation and M range: of this very target, else
  /// of one with the same architecture. Of repeated measurements of a schedule the last counts.
  const TuningRecord *best(const Descriptor &descriptor, const Target &target) const;

  /// Transfer: the fastest record that `usable` accepts of the most similar descriptor (grouped,
  /// ragged or not alike, and M within a factor of two; then shape, bits, group size, activation
  /// order, ... count) on the same architecture. Nothing when no record is close enough to be
  /// better than the cost model.
  const TuningRecord *nearest(const Descriptor &descriptor, const Target &target,
                              const std::function<bool(const TuningRecord &)> &usable) const;

  const std::vector<TuningRecord> &all() const { return records; }
  bool torn() const { return tornTail; }
  /// One line each.
  std::string print() const;

private:
  std::vector<TuningRecord> records;
  bool tornTail = false;
};

/// Appends records to a file and flushes them to the disk. Several processes may append to one
/// file; what a killed process left of a line is cut off first. Without records the file is made
/// and checked alone. DataCorrupt, and the file stays as it was, when its last line has no newline
/// and is no start of a record; IoError when it cannot be written.
Status appendRecords(const std::filesystem::path &path, const std::vector<TuningRecord> &records);

} // namespace gptqc

#endif // GPTQC_AUTOTUNE_RECORDS_RECORDS_H
