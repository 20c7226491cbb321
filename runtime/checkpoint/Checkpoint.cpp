// Finds the quantized layers of a folder, reads their facts, and checks what only shows across
// layers.
#include "runtime/checkpoint/Checkpoint.h"

#include <algorithm>
#include <cctype>

#include "runtime/checkpoint/ModuleTable.h"
#include "runtime/core/TextForm.h"

namespace gptqc {
namespace {

constexpr std::string_view kWeightSuffix = ".qweight";

bool isDigit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

bool endsWith(std::string_view text, std::string_view suffix) {
  return text.size() > suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

} // namespace

bool naturalLess(std::string_view a, std::string_view b) {
  size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (!isDigit(a[i]) || !isDigit(b[j])) {
      if (a[i] != b[j])
        return a[i] < b[j];
      ++i;
      ++j;
      continue;
    }
    const auto number = [](std::string_view text, size_t &at) {
      size_t end = at;
      while (end < text.size() && isDigit(text[end]))
        ++end;
      std::string_view digits = text.substr(at, end - at);
      at = end;
      digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size()));
      return digits;
    };
    const std::string_view x = number(a, i), y = number(b, j);
    if (x != y)
      return x.size() != y.size() ? x.size() < y.size() : x < y;
  }
  return a.size() - i != b.size() - j ? a.size() - i < b.size() - j : a < b;
}

Result<Checkpoint> Checkpoint::open(const std::filesystem::path &directory) {
  GPTQC_ASSIGN(Checkpoint checkpoint, examine(directory));
  for (const Finding &finding : checkpoint.allFindings)
    if (finding.severity == Severity::Fatal)
      return dataCorrupt("{}: {}", directory.string(), finding.print());
  return checkpoint;
}

Result<Checkpoint> Checkpoint::examine(const std::filesystem::path &directory) {
  Checkpoint checkpoint;
  GPTQC_ASSIGN(checkpoint.hf, HfFolder::open(directory));
  GPTQC_ASSIGN(checkpoint.quantConfig, QuantConfig::load(checkpoint.hf));
  std::vector<std::string> names;
  for (const auto &[name, tensor] : checkpoint.hf.tensors())
    if (endsWith(name, kWeightSuffix))
      names.push_back(name.substr(0, name.size() - kWeightSuffix.size()));
  if (names.empty())
    return makeError(Code::NotFound,
                     "{}: the configuration says GPTQ, but no tensor ends in .qweight; fetch the "
                     "quantized weights",
                     directory.string());
  std::sort(names.begin(), names.end(), naturalLess);
  for (const std::string &line : checkpoint.quantConfig.conflicts())
    checkpoint.add(Severity::Error, "config-conflict", "configuration", line,
                   "the first is used; make them agree");
  checkpoint.readLayers(std::move(names));
  checkpoint.checkAcrossLayers();
  return checkpoint;
}

void Checkpoint::readLayers(std::vector<std::string> names) {
  if (!quantConfig.symGiven())
    add(Severity::Warning, "config-sym", quantConfig.source(), "sym is not given",
        "the stored zero points decide; add sym");
  for (std::string &name : names) {
    LayerContext context{quantConfig.defaults(), quantConfig.writer(), hf.activationType()};
    if (const std::optional<ModuleConfig> module = quantConfig.module(name))
      context.config = *module;
    else
      add(Severity::Error, "dynamic-skip", quoteName(name),
          "a \"-:\" rule of dynamic skips this module, but the file holds it quantized",
          "it is read with the defaults; correct the rule");
    const std::optional<RawLayer> raw = readLayer(hf, name, context, allFindings);
    if (!raw)
      continue;
    layerInfos.push_back({std::move(name), raw->facts.descriptor, context.config, raw->facts.groups,
                          raw->hasGroupIndex, raw->scaleType, raw->fileBytes});
  }
}

void Checkpoint::checkAcrossLayers() {
  for (const LayerInfo &layer : layerInfos) {
    if (hf.find(layer.name + ".weight"))
      add(Severity::Warning, "both-weights", quoteName(layer.name),
          "both weight and qweight are in the file", "remove weight; qweight is used");
    // Engines fuse q, k and v and keep one g_idx for all three.
    if (!layer.descriptor.actOrder || !endsWith(layer.name, "q_proj"))
      continue;
    const std::string stem = layer.name.substr(0, layer.name.size() - 6);
    const TensorRef *query = hf.find(layer.name + ".g_idx");
    for (const char *other : {"k_proj", "v_proj"}) {
      const TensorRef *tensor = hf.find(stem + other + ".g_idx");
      if (tensor &&
          (tensor->info->bytes != query->info->bytes ||
           !std::equal(tensor->bytes().begin(), tensor->bytes().end(), query->bytes().begin())))
        add(Severity::Warning, "g-idx-differs", quoteName(stem + other),
            "its g_idx differs from that of q_proj",
            "engines that fuse q, k and v need one order; quantize again for them");
    }
  }
  for (const std::string &name : hf.unlisted())
    add(Severity::Warning, "unlisted-tensor", quoteName(name),
        "a shard holds it, the index does not list it", "it is not read; make the index again");
  for (const auto &[name, tensor] : hf.tensors())
    for (const std::string_view suffix : {".qzeros", ".g_idx"})
      if (endsWith(name, suffix) &&
          !hf.find(name.substr(0, name.size() - suffix.size()) + std::string(kWeightSuffix)))
        add(Severity::Error, "orphan-tensor", quoteName(name), "there is no qweight beside it",
            "fetch the missing tensors or remove this one");
  const ModuleTable *modules = ModuleTable::forModelType(hf.modelType());
  for (const auto &[name, tensor] : hf.tensors()) {
    if (!modules || !endsWith(name, ".weight"))
      continue;
    const std::string module = name.substr(0, name.size() - 7);
    if (modules->quantizes(module) && !hf.find(module + std::string(kWeightSuffix)) &&
        quantConfig.module(module))
      add(Severity::Warning, "not-quantized", quoteName(module),
          "this linear layer is stored unquantized, and no rule of dynamic says so",
          "add a \"-:\" rule; some readers expect qweight here");
  }
}

void Checkpoint::add(Severity severity, std::string check, std::string subject, std::string problem,
                     std::string repair) {
  allFindings.push_back(
      {severity, std::move(check), std::move(subject), std::move(problem), std::move(repair)});
}

const LayerInfo *Checkpoint::find(std::string_view name) const {
  const auto found = std::find_if(layerInfos.begin(), layerInfos.end(),
                                  [&](const LayerInfo &layer) { return layer.name == name; });
  return found == layerInfos.end() ? nullptr : &*found;
}

Result<RawLayer> Checkpoint::rawLayer(const LayerInfo &layer) const {
  std::vector<Finding> findings;
  std::optional<RawLayer> raw = readLayer(
      hf, layer.name, {layer.config, quantConfig.writer(), hf.activationType()}, findings);
  if (raw)
    return std::move(*raw);
  return dataCorrupt("{}: {}", hf.directory().string(), findings.back().print());
}

Result<QuantizedMatrix> Checkpoint::loadLayer(const LayerInfo &layer) const {
  GPTQC_ASSIGN(RawLayer raw, rawLayer(layer));
  const Descriptor &descriptor = raw.facts.descriptor;
  raw.facts.codes =
      unpackRows(raw.packing, descriptor.bits, descriptor.k, descriptor.n, raw.qweight);
  return std::move(raw.facts);
}

} // namespace gptqc
