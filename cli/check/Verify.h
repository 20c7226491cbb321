// The core of `gptqc verify`: layers x token counts on a runner, each compared with the reference.
#ifndef GPTQC_CLI_CHECK_VERIFY_H
#define GPTQC_CLI_CHECK_VERIFY_H

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/check/Runner.h"
#include "runtime/cpu/Compare.h"
#include "runtime/cpu/Synthetic.h"

namespace gptqc::cli {

/// A layer to verify; the weights are loaded when its turn comes.
struct VerifyLayer {
  std::string name;
  Descriptor descriptor;
  std::function<Result<QuantizedMatrix>()> load;
  std::string repro; ///< the part of the command line that selects this layer alone
};

/// Synthetic layers for descriptors.
std::vector<VerifyLayer> syntheticLayers(const std::vector<Descriptor> &descriptors, uint64_t seed);

struct VerifyOptions {
  std::vector<int64_t> tokens = {1, 7, 16, 33, 128};
  uint64_t seed = 1;
  /// One kind of activations for all, or nothing: the kinds take turns over the token counts,
  /// starting with another one for each layer.
  std::optional<Inputs> inputs;
  bool allInputs = false;  ///< every kind for every token count
  std::string reproSuffix; ///< options that a repro must repeat, e.g. " --device cuda"
};

struct VerifyRow {
  std::string layer, descriptor, kernel;
  int64_t m = 0;
  Inputs inputs = Inputs::Normal;
  double microseconds = 0;
  Comparison comparison;
  Status error;      ///< when the layer could not be run at all
  std::string repro; ///< a command line that repeats this check

  bool passed() const { return error.ok() && comparison.passed(); }
  std::string explain() const { return error.ok() ? comparison.explain() : error.message(); }
};

/// The token counts of `tokens` inside the descriptor's range; when there are none, the ends of the
/// range.
std::vector<int64_t> tokensFor(const Descriptor &descriptor, const std::vector<int64_t> &tokens);

/// Runs everything; `report` sees each row as soon as it is known. A layer that fails to load,
/// compile or run is a failed row and the others go on.
std::vector<VerifyRow> verifyLayers(const std::vector<VerifyLayer> &layers, Runner &runner,
                                    const VerifyOptions &options,
                                    const std::function<void(const VerifyRow &)> &report);

/// The first line of a table that verifyTableRow continues.
std::string verifyTableHead(const std::vector<VerifyLayer> &layers);
std::string verifyTableRow(const std::vector<VerifyLayer> &layers, const VerifyRow &row);

/// {"device", "seed", "passed", "failed", "checks": [...]}, one line. Numbers that are not finite
/// are null.
std::string verifyJson(const std::vector<VerifyRow> &rows, std::string_view device, uint64_t seed);

/// Ok, or one line: how many checks failed, the first of them, and how to repeat it.
Status verifyVerdict(const std::vector<VerifyRow> &rows);

} // namespace gptqc::cli

#endif // GPTQC_CLI_CHECK_VERIFY_H
