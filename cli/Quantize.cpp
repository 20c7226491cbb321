// gptqc quantize MODEL --method rtn ... -o DIR: writes a quantized copy of a model.
#include <chrono>
#include <cstdio>
#include <memory>
#include <mutex>
#include <string>

#include "cli/Commands.h"
#include "cli/Progress.h"
#include "runtime/checkpoint/QuantizeModel.h"
#include "runtime/core/Version.h"

namespace gptqc::cli {
namespace {

struct Options {
  std::string model, output, method = "rtn", format;
  bool asym = false;
  QuantizeOptions quantize;
};

Status quantize(Options options) {
  options.quantize.sym = !options.asym;
  if (!options.format.empty())
    options.quantize.format = fileFormatFrom(options.format);
  options.quantize.writer = fmt::format("gptqc:{}", versionNumber());
  const auto start = std::chrono::steady_clock::now();
  std::unique_ptr<Progress> progress;
  std::once_flag once;
  Result<QuantizeReport> report = quantizeModel(
      options.model, options.output, options.quantize,
      [&](int64_t, int64_t total, const std::string &name) {
        std::call_once(once, [&] { progress = std::make_unique<Progress>("quantize", total); });
        progress->step(name);
      });
  progress.reset();
  if (!report.ok())
    return report.status();
  if (report->shortGroups > 0)
    fmt::print(
        stderr,
        "gptqc: warning: the last group of {} layers is short, which many readers refuse; use a "
        "group size that divides K\n",
        report->shortGroups);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  fmt::print("{}: {} layers, {} weights quantized, {} of tensors, {}\n", options.output,
             report->layers, report->weights, formatBytes(int64_t(report->tensorBytes)),
             formatSeconds(seconds));
  return Status();
}

} // namespace

void registerQuantize(CLI::App &app, Outcome &outcome) {
  auto options = std::make_shared<Options>();
  CLI::App *command = app.add_subcommand("quantize", "Write a quantized copy of a model");
  command->add_option("MODEL", options->model, "Folder of an unquantized model")->required();
  command->add_option("--method", options->method, "rtn: round to nearest")
      ->check(CLI::IsMember({"rtn"}))
      ->capture_default_str();
  command->add_option("--bits", options->quantize.bits, "Bits of a weight")
      ->check(CLI::Range(2, 8))
      ->required();
  command
      ->add_option("--group-size", options->quantize.groupSize,
                   "Columns that share a scale; -1: all of them")
      ->capture_default_str();
  command->add_flag("--asym", options->asym, "Store a zero point for each group");
  command->add_flag("--act-order", options->quantize.actOrder,
                    "Form groups of columns by their norm, largest first");
  command
      ->add_option("--format", options->format,
                   "Default: gptq_p for 5, 6, 7 bits, gptq_v2 with --asym, else gptq")
      ->check(CLI::IsMember({"gptq", "gptq_v2", "gptq_p"}));
  command->add_flag("--force", options->quantize.force,
                    "Replace an output folder that is not empty");
  command->add_option("-o,--output", options->output, "Folder to write")->required();
  command->callback([options, &outcome] { outcome.status = quantize(*options); });
}

} // namespace gptqc::cli
