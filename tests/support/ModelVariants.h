// Quantized variants of the bundled models: a pairwise cover of what the writer can write. Made on
// demand, never checked in.
#ifndef GPTQC_TESTS_SUPPORT_MODELVARIANTS_H
#define GPTQC_TESTS_SUPPORT_MODELVARIANTS_H

#include <filesystem>
#include <string>
#include <vector>

#include "runtime/checkpoint/QuantizeModel.h"

namespace gptqc::fixtures {

struct ModelVariant {
  std::string name;  ///< e.g. "docs-opt-5m-w3-g64-asym-actorder-gptq_v2"; also its folder
  std::string model; ///< folder below tests/data/models
  QuantizeOptions options;

  /// The options as `gptqc quantize` takes them.
  std::string arguments() const;
};

/// The legal combinations of bits, symmetry, group size, column order and format that hold every
/// legal pair, shared out between the two models; at most 24 per model.
std::vector<ModelVariant> modelVariants();

/// Quantizes into output/<name>, unless that is there already (folders appear whole).
Status makeVariant(const ModelVariant &variant, const std::filesystem::path &models,
                   const std::filesystem::path &output);

} // namespace gptqc::fixtures

#endif // GPTQC_TESTS_SUPPORT_MODELVARIANTS_H
