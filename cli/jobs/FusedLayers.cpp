// Finds modules by their names, and joins their descriptors.
#include "cli/jobs/FusedLayers.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>

namespace gptqc::cli {
namespace {

constexpr std::string_view kExperts = ".experts.";

/// Modules of one block that runtimes run as one layer.
struct Fusion {
  std::vector<std::string_view> names;
  bool siluMul;
};

std::vector<Fusion> fusions() {
  return {{{".q_proj", ".k_proj", ".v_proj"}, false},
          {{".gate_proj", ".up_proj"}, false},
          {{".gate_proj", ".up_proj"}, true},
          {{".w1", ".w3"}, false},
          {{".w1", ".w3"}, true}};
}

using Layers = std::map<std::string, Descriptor>;

/// `all` becomes what computes `one` too; false when they differ in more than parts or experts may.
bool join(Descriptor &all, Descriptor one) {
  all.sym = all.sym && one.sym;
  all.bias = all.bias || one.bias;
  one.n = all.n;
  one.sym = all.sym;
  one.bias = all.bias;
  return one == all;
}

/// The fused layer that begins with module `first`; nothing when a part is missing or differs.
std::optional<NamedLayer> fuse(const Layers &layers, const NamedLayer &first,
                               const Fusion &fusion) {
  NamedLayer fused = first;
  const std::string block = first.name.substr(0, first.name.size() - fusion.names[0].size());
  int64_t rows = first.descriptor.n;
  for (size_t i = 1; i < fusion.names.size(); ++i) {
    const auto part = layers.find(block + std::string(fusion.names[i]));
    if (part == layers.end() || !join(fused.descriptor, part->second))
      return std::nullopt;
    rows += part->second.n;
    fused.name += fusion.names[i];
  }
  fused.descriptor.n = rows;
  fused.descriptor.siluMul = fusion.siluMul;
  fused.name += fusion.siluMul ? ".silu_mul" : "";
  return fused.descriptor.validate().ok() ? std::optional(fused) : std::nullopt;
}

/// The grouped layer of the experts whose first one this is.
std::optional<Descriptor> group(const Layers &layers, const NamedLayer &first) {
  const size_t at = first.name.find(std::string(kExperts) + "0.");
  if (at == std::string::npos)
    return std::nullopt;
  const std::string front = first.name.substr(0, at + kExperts.size()),
                    back = first.name.substr(at + kExperts.size() + 1);
  Descriptor all = first.descriptor;
  all.experts = 1;
  for (auto next = layers.find(fmt::format("{}1{}", front, back)); next != layers.end();
       next = layers.find(fmt::format("{}{}{}", front, all.experts, back))) {
    Descriptor one = next->second;
    all.actOrder = one.actOrder = all.actOrder || one.actOrder;
    all.ragged = one.ragged = all.ragged || one.ragged;
    one.experts = all.experts;
    if (one.n != all.n || one.bias != all.bias || !join(all, one))
      return std::nullopt;
    ++all.experts;
  }
  return all.grouped() && all.validate().ok() ? std::optional(all) : std::nullopt;
}

} // namespace

std::vector<Descriptor> fusedLayers(const std::vector<NamedLayer> &modules) {
  Layers layers;
  for (const NamedLayer &module : modules)
    layers.emplace(module.name, module.descriptor);
  std::vector<NamedLayer> all = modules;
  std::vector<Descriptor> found;
  for (const NamedLayer &module : modules)
    for (const Fusion &fusion : fusions())
      if (module.name.ends_with(fusion.names[0]))
        if (const auto fused = fuse(layers, module, fusion)) {
          found.push_back(fused->descriptor.canonical());
          layers.emplace(fused->name, fused->descriptor);
          all.push_back(*fused);
        }
  for (const NamedLayer &layer : all)
    if (const auto grouped = group(layers, layer))
      found.push_back(grouped->canonical());
  return found;
}

} // namespace gptqc::cli
