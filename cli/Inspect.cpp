// gptqc inspect MODEL [--json]: the quantized layers of a checkpoint, their descriptors and sizes.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "cli/Commands.h"
#include "cli/Progress.h"
#include "runtime/checkpoint/Checkpoint.h"
#include "runtime/core/TextForm.h"

namespace gptqc::cli {
namespace {

struct Totals {
  int64_t weights = 0, quantizedBytes = 0, otherTensors = 0, otherBytes = 0;
  double bitsPerWeight() const {
    return double(quantizedBytes) * 8 / double(std::max<int64_t>(1, weights));
  }
};

bool belongsToLayer(const Checkpoint &checkpoint, std::string_view tensor) {
  const size_t dot = tensor.rfind('.');
  if (dot == std::string_view::npos)
    return false;
  const std::string_view suffix = tensor.substr(dot + 1);
  return (suffix == "qweight" || suffix == "qzeros" || suffix == "scales" || suffix == "g_idx") &&
         checkpoint.folder().find(std::string(tensor.substr(0, dot)) + ".qweight");
}

Totals totalsOf(const Checkpoint &checkpoint) {
  Totals totals;
  for (const LayerInfo &layer : checkpoint.layers()) {
    totals.weights += layer.descriptor.n * layer.descriptor.k;
    totals.quantizedBytes += layer.fileBytes;
  }
  for (const auto &[name, tensor] : checkpoint.folder().tensors()) {
    if (belongsToLayer(checkpoint, name))
      continue;
    ++totals.otherTensors;
    totals.otherBytes += int64_t(tensor.info->bytes);
  }
  return totals;
}

std::string writerText(const WriterIdentity &writer) {
  if (writer.name.empty())
    return "unknown writer";
  if (!writer.versionKnown)
    return quoteName(writer.name);
  return fmt::format("{} {}.{}.{}", quoteName(writer.name), writer.major, writer.minor,
                     writer.patch);
}

void printTable(const Checkpoint &checkpoint, const Totals &totals) {
  size_t nameWidth = 5, descriptorWidth = 10;
  for (const LayerInfo &layer : checkpoint.layers()) {
    nameWidth = std::max(nameWidth, quoteName(layer.name).size());
    descriptorWidth = std::max(descriptorWidth, layer.descriptor.print().size());
  }
  fmt::print("{:<{}}  {:<{}}  {:>8}  {:>6}  {:>10}  {}\n", "layer", nameWidth, "descriptor",
             descriptorWidth, "format", "groups", "size", "bits/weight");
  for (const LayerInfo &layer : checkpoint.layers())
    fmt::print("{:<{}}  {:<{}}  {:>8}  {:>6}  {:>10}  {:>11.3f}\n", quoteName(layer.name),
               nameWidth, layer.descriptor.print(), descriptorWidth,
               fileFormatName(layer.config.format), layer.groups, formatBytes(layer.fileBytes),
               layer.bitsPerWeight());
  fmt::print("\n{} quantized layers, {} weights in {}: {:.3f} bits per weight\n",
             checkpoint.layers().size(), totals.weights, formatBytes(totals.quantizedBytes),
             totals.bitsPerWeight());
  fmt::print("{} other tensors in {}; {}, {}\n", totals.otherTensors,
             formatBytes(totals.otherBytes),
             checkpoint.folder().modelType().empty() ? "unknown model type"
                                                     : quoteName(checkpoint.folder().modelType()),
             writerText(checkpoint.config().writer()));
}

void printJson(const Checkpoint &checkpoint, const Totals &totals) {
  nlohmann::ordered_json root;
  root["model"] = checkpoint.folder().directory().string();
  root["model_type"] = checkpoint.folder().modelType();
  root["writer"] = writerText(checkpoint.config().writer());
  root["layers"] = nlohmann::ordered_json::array();
  for (const LayerInfo &layer : checkpoint.layers())
    root["layers"].push_back({{"name", layer.name},
                              {"descriptor", layer.descriptor.print()},
                              {"bits", layer.descriptor.bits},
                              {"group_size", layer.descriptor.groupSize},
                              {"groups", layer.groups},
                              {"sym", layer.descriptor.sym},
                              {"act_order", layer.descriptor.actOrder},
                              {"format", fileFormatName(layer.config.format)},
                              {"n", layer.descriptor.n},
                              {"k", layer.descriptor.k},
                              {"bias", layer.descriptor.bias},
                              {"bytes", layer.fileBytes},
                              {"bits_per_weight", layer.bitsPerWeight()}});
  root["totals"] = {
      {"layers", checkpoint.layers().size()}, {"weights", totals.weights},
      {"bytes", totals.quantizedBytes},       {"bits_per_weight", totals.bitsPerWeight()},
      {"other_tensors", totals.otherTensors}, {"other_bytes", totals.otherBytes}};
  root["findings"] = nlohmann::ordered_json::array();
  for (const Finding &finding : checkpoint.findings())
    root["findings"].push_back({{"severity", severityName(finding.severity)},
                                {"check", finding.check},
                                {"subject", finding.subject},
                                {"problem", finding.problem},
                                {"repair", finding.repair}});
  fmt::print("{}\n", root.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

Status inspect(const std::string &model, bool asJson) {
  GPTQC_ASSIGN(const Checkpoint checkpoint, Checkpoint::open(model));
  const Totals totals = totalsOf(checkpoint);
  if (asJson) {
    printJson(checkpoint, totals);
    return Status();
  }
  printTable(checkpoint, totals);
  if (!checkpoint.findings().empty())
    fmt::print(stderr, "gptqc: warning: {} finding(s); gptqc lint {} lists them\n",
               checkpoint.findings().size(), model);
  return Status();
}

} // namespace

void registerInspect(CLI::App &app, Outcome &outcome) {
  struct Options {
    std::string model;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App *command = app.add_subcommand("inspect", "List the quantized layers of a checkpoint");
  command->add_option("MODEL", options->model, "Folder of a GPTQ checkpoint")->required();
  command->add_flag("--json", options->json, "Print JSON");
  command->callback(
      [options, &outcome] { outcome.status = inspect(options->model, options->json); });
}

} // namespace gptqc::cli
