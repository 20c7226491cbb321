// The layers that a run has finished, each in a file of its own beside the output, so that a run
// that was killed can go on.
#ifndef GPTQC_RUNTIME_SOLVER_QUANTIZE_JOURNAL_H
#define GPTQC_RUNTIME_SOLVER_QUANTIZE_JOURNAL_H

#include <memory>
#include <optional>
#include <string>

#include "runtime/checkpoint/GptqWords.h"
#include "runtime/core/QuantizedMatrix.h"
#include "runtime/core/SafeTensors.h"

namespace gptqc {

/// How a layer was solved: a line of quant_log.csv.
struct LayerRecord {
  double loss = 0, damp = 0, errorBefore = 0, errorAfter = 0, seconds = 0;
  int64_t tokens = 0;
  std::string recovery;
};

/// A finished layer, its codes packed.
struct JournalEntry {
  std::shared_ptr<const SafeTensorsFile> file; ///< what `qweight` borrows from
  QuantizedMatrix facts;                       ///< all but the codes
  std::span<const uint8_t> qweight;
  Packing packing = Packing::Continuous;
  LayerRecord record;

  /// The layer with its codes.
  QuantizedMatrix matrix() const;
};

/// Owned by one process at a time; movable.
class Journal {
public:
  /// Opens or makes `folder`. `run` identifies model, options and calibration: with `resume` what
  /// the same run left is kept (InvalidArgument for another one's), else it is removed.
  static Result<Journal> open(const std::filesystem::path &folder, const std::string &run,
                              bool resume);
  Journal(Journal &&other) noexcept;
  Journal &operator=(Journal &&) = delete;
  ~Journal();

  /// No value when the layer is not there, or its file is damaged.
  std::optional<JournalEntry> find(const std::string &module) const;
  /// `qweight`: the codes of the layer, packed; `facts` need none. Thread-safe for different
  /// modules.
  Status put(const std::string &module, const QuantizedMatrix &facts,
             std::span<const uint8_t> qweight, Packing packing, const LayerRecord &record) const;
  /// Removes the folder: the run is complete.
  void remove();

private:
  Journal(std::filesystem::path folder, int lock) : folder(std::move(folder)), lock(lock) {}
  std::filesystem::path pathOf(const std::string &module) const;

  std::filesystem::path folder;
  int lock = -1; ///< the folder, open and locked
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_SOLVER_QUANTIZE_JOURNAL_H
