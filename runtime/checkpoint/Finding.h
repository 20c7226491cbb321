// What is wrong with a checkpoint, as lint prints it and readers act on it.
#ifndef GPTQC_RUNTIME_CHECKPOINT_FINDING_H
#define GPTQC_RUNTIME_CHECKPOINT_FINDING_H

#include <string>
#include <string_view>
#include <vector>

namespace gptqc {

enum class Severity {
  Warning, ///< right for us, but some readers stumble over it
  Error,   ///< the file is wrong; it can be read with what `repair` says done in memory
  Fatal    ///< the layer cannot be read
};

struct Finding {
  Severity severity = Severity::Warning;
  std::string check;   ///< stable name of the check, e.g. "g-idx-range"
  std::string subject; ///< layer, tensor or file
  std::string problem;
  std::string repair;

  /// "model.layers.0.mlp.up_proj: problem; repair [check]"
  std::string print() const {
    return subject + ": " + problem + "; " + repair + " [" + check + "]";
  }
};

/// "warning" or "error" (both of the graver ones).
inline std::string_view severityName(Severity severity) {
  return severity == Severity::Warning ? "warning" : "error";
}

} // namespace gptqc

#endif // GPTQC_RUNTIME_CHECKPOINT_FINDING_H
