// FusedLayers: the layers that runtimes make out of a model's modules.
#ifndef GPTQC_CLI_JOBS_FUSEDLAYERS_H
#define GPTQC_CLI_JOBS_FUSEDLAYERS_H

#include <string>
#include <vector>

#include "runtime/core/Descriptor.h"

namespace gptqc::cli {

/// A module of a model, or several as one.
struct NamedLayer {
  std::string name; ///< e.g. "model.layers.0.mlp.experts.3.up_proj"
  Descriptor descriptor;
};

/// q, k and v side by side; gate and up (w1 and w3) side by side, with and without silu_mul; and
/// what all experts of a block have, be it a module or a fused one, as a grouped layer. Modules
/// that differ in bits, groups or types are left out; so are experts that are not numbered from 0
/// on.
std::vector<Descriptor> fusedLayers(const std::vector<NamedLayer> &modules);

} // namespace gptqc::cli

#endif // GPTQC_CLI_JOBS_FUSEDLAYERS_H
