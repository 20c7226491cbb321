// gptqc quantize MODEL --bits ... -o DIR: writes a quantized copy of a model, by GPTQ on
// calibration tokens or by rounding to nearest.
#include <chrono>
#include <cstdio>
#include <memory>
#include <mutex>
#include <string>

#include "cli/Commands.h"
#include "cli/Progress.h"
#include "cli/SolverArguments.h"
#include "cli/SolverDevice.h"
#include "runtime/checkpoint/QuantizeModel.h"
#include "runtime/core/Version.h"
#include "runtime/solver/quantize/GptqModel.h"
#ifdef GPTQC_HAVE_TOKENIZER
#include "runtime/tokenizer/Calibration.h"
#endif

namespace gptqc::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct QuantizeArguments {
  std::string model, output, method = "gptq", format, calibration, dynamic, device = "cpu";
  int64_t samples = 0, length = 0;
  SolverArguments solver;
  GptqModelOptions gptq;
};

std::string writerName() { return fmt::format("gptqc:{}", versionNumber()); }

std::optional<FileFormat> formatOf(const QuantizeArguments &options) {
  return options.format.empty() ? std::nullopt : fileFormatFrom(options.format);
}

void warnShortGroups(int64_t layers) {
  if (layers > 0)
    fmt::print(stderr,
               "gptqc: warning: the last group of {} layers is short, which many readers refuse; "
               "use a group size that divides K, or -1\n",
               layers);
}

void warnIdleRules(const std::vector<std::string> &patterns) {
  for (const std::string &pattern : patterns)
    fmt::print(
        stderr,
        "gptqc: warning: the rule '{}' of --dynamic decides nothing: it matches the start of "
        "no quantized module's name, or other rules come first\n",
        quoteName(pattern));
}

void printResult(const QuantizeArguments &options, int64_t layers, int64_t weights, uint64_t bytes,
                 Clock::time_point start) {
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  fmt::print("{}: {} layers, {} weights quantized, {} of tensors, {}\n", options.output, layers,
             weights, formatBytes(int64_t(bytes)), formatSeconds(seconds));
}

/// The options that only GPTQ has.
Status checkRtn(const QuantizeArguments &options) {
  const SolverOptions &s = options.solver.options;
  const std::pair<bool, const char *> given[] = {{!options.calibration.empty(), "--calibration"},
                                                 {!options.dynamic.empty(), "--dynamic"},
                                                 {options.gptq.lmHead, "--lm-head"},
                                                 {options.gptq.resume, "--resume"},
                                                 {options.gptq.trueSequential, "--true-sequential"},
                                                 {s.mse, "--mse"},
                                                 {s.staticGroups, "--static-groups"},
                                                 {s.actGroupAware, "--act-group-aware"},
                                                 {s.groupRefresh, "--group-refresh"},
                                                 {s.damp != SolverOptions().damp, "--damp"},
                                                 {options.solver.blas != "builtin", "--blas"},
                                                 {options.device != "cpu", "--device"},
                                                 {options.samples > 0, "--samples"},
                                                 {options.length > 0, "--seqlen"}};
  for (const auto &[is, name] : given)
    if (is)
      return invalidArgument("{} goes with --method gptq", name);
  return Status();
}

Status roundToNearest(const QuantizeArguments &options) {
  GPTQC_TRY(checkRtn(options));
  const auto start = Clock::now();
  QuantizeOptions quantize;
  quantize.bits = options.solver.options.bits;
  quantize.groupSize = options.solver.options.groupSize;
  quantize.sym = options.solver.options.sym;
  quantize.actOrder = options.solver.options.actOrder;
  quantize.format = formatOf(options);
  quantize.force = options.gptq.force;
  quantize.threads = unsigned(options.solver.threads);
  quantize.writer = writerName();
  std::unique_ptr<Progress> progress;
  std::once_flag once;
  const Result<QuantizeReport> report = quantizeModel(
      options.model, options.output, quantize,
      [&](int64_t, int64_t total, const std::string &name) {
        std::call_once(once, [&] { progress = std::make_unique<Progress>("quantize", total); });
        progress->step(name);
      });
  progress.reset();
  GPTQC_TRY(report.status());
  warnShortGroups(report->shortGroups);
  printResult(options, report->layers, report->weights, report->tensorBytes, start);
  return Status();
}

Result<TokenRows> calibrationRows(const QuantizeArguments &options) {
  if (options.calibration.empty())
    return invalidArgument("GPTQ needs --calibration FILE (token ids or text); to round to "
                           "nearest without, pass --method rtn");
#ifdef GPTQC_HAVE_TOKENIZER
  return loadCalibration(options.calibration, options.model, "input_ids", options.samples,
                         options.length);
#else
  GPTQC_ASSIGN(const TokenRows all, loadTokenRows(options.calibration, "input_ids"));
  Result<TokenRows> rows = firstRows(all, options.samples, options.length);
  GPTQC_TRY(rows.status().withContext(options.calibration));
  return rows;
#endif
}

void printPhases(const GptqModelReport &report) {
  const CalibrationSeconds &s = report.seconds;
  fmt::print("{} calibration tokens; reading {:.2f} s, forward {:.2f}, Hessians {:.2f}, factors "
             "{:.2f}, layers {:.2f}",
             report.tokens, s.load, s.forward, s.hessian, s.factor, s.solve);
  if (report.peakDeviceBytes > 0)
    fmt::print(" (column loop {:.2f})", s.columns);
  fmt::print(", waiting for the disk {:.2f}\n", report.writeSeconds);
  if (report.peakDeviceBytes > 0)
    fmt::print("peak device memory {}\n", formatBytes(report.peakDeviceBytes));
}

Status gptq(QuantizeArguments options) {
  const auto start = Clock::now();
  GPTQC_ASSIGN(const TokenRows calibration, calibrationRows(options));
  if (!options.dynamic.empty()) {
    GPTQC_ASSIGN(const std::optional<nlohmann::ordered_json> dynamic,
                 readJsonObject(options.dynamic));
    if (!dynamic)
      return makeError(Code::NotFound, "{} does not exist", options.dynamic);
    options.gptq.dynamic = *dynamic;
  }
  options.gptq.inputs = {options.calibration, options.dynamic};
  options.gptq.solver = options.solver.options;
  options.gptq.format = formatOf(options);
  options.gptq.writer = writerName();
  CpuContext cpu = CpuContext::create(options.solver.threads);
  GPTQC_ASSIGN(cpu.blas, options.solver.openBlas());
  std::unique_ptr<SolverDevice> device;
  if (options.device == "cuda") {
    GPTQC_ASSIGN(device, openSolverDevice());
    GPTQC_ASSIGN(options.gptq.calibration, device->calibration());
  }
  std::unique_ptr<Progress> progress;
  const Result<GptqModelReport> report = quantizeWithGptq(
      options.model, options.output, calibration, options.gptq, cpu,
      [&](int64_t, int64_t total, const std::string &name, const LayerRecord &record) {
        if (!progress)
          progress = std::make_unique<Progress>("quantize", total);
        progress->line(fmt::format(
            "{}: loss {:.6g}, damping {:g}{}, error {:.4f} -> {:.4f}, {}", name, record.loss,
            record.damp, record.recovery == "none" ? "" : " (recovery: " + record.recovery + ")",
            record.errorBefore, record.errorAfter, formatSeconds(record.seconds)));
        progress->step(name);
      });
  progress.reset();
  GPTQC_TRY(report.status());
  if (report->complete) {
    fmt::print("{}: complete already\n", options.output);
    return Status();
  }
  if (report->tokens < report->widestInput)
    fmt::print(stderr,
               "gptqc: warning: {} calibration tokens for inputs of {} columns; give more tokens\n",
               report->tokens, report->widestInput);
  warnShortGroups(report->shortGroups);
  warnIdleRules(report->idleRules);
  if (report->resumed > 0)
    fmt::print("{} layers taken from the earlier run\n", report->resumed);
  printPhases(*report);
  printResult(options, report->layers, report->weights, report->tensorBytes, start);
  return Status();
}

Status quantize(QuantizeArguments options) {
  GPTQC_TRY(options.solver.finish());
  return options.method == "rtn" ? roundToNearest(options) : gptq(std::move(options));
}

} // namespace

void registerQuantize(CLI::App &app, Outcome &outcome) {
  auto options = std::make_shared<QuantizeArguments>();
  CLI::App *command = app.add_subcommand("quantize", "Write a quantized copy of a model");
  command->add_option("MODEL", options->model, "Folder of an unquantized model")->required();
  command
      ->add_option("--method", options->method,
                   "gptq: on calibration tokens; rtn: round to nearest")
      ->check(CLI::IsMember({"gptq", "rtn"}))
      ->capture_default_str();
  command->add_option("--calibration", options->calibration,
                      "Token ids [rows,T]: tensor input_ids, or the only one, of a .safetensors "
                      "file; a .npy file; or text for the model's tokenizer: a .txt file, or "
                      ".jsonl with the key text");
  command
      ->add_option("--samples", options->samples,
                   "Rows of calibration; default: all of a token file, 128 of text")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 40));
  command
      ->add_option("--seqlen", options->length,
                   "Cut rows to this many tokens; default of text: 2048, or the model's context")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 40));
  options->solver.add(*command);
  command->add_flag("--true-sequential", options->gptq.trueSequential,
                    "Inside a block, each group of layers after those before it are quantized");
  command->add_option("--dynamic", options->dynamic,
                      "JSON file of overrides by module name, as in quantization_config");
  command->add_flag("--lm-head", options->gptq.lmHead, "Quantize the output layer too");
  command
      ->add_option("--format", options->format,
                   "Default: gptq_p for 5, 6, 7 bits, gptq_v2 with --asym, else gptq")
      ->check(CLI::IsMember({"gptq", "gptq_v2", "gptq_p"}));
  command->add_option("--device", options->device, "Where the solver runs")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  command->add_flag("--resume", options->gptq.resume, "Go on where a killed run stopped");
  command->add_flag("--force", options->gptq.force, "Replace an output folder that holds a model");
  command->add_option("-o,--output", options->output, "Folder to write")->required();
  command->callback([options, &outcome] { outcome.status = quantize(*options); });
}

} // namespace gptqc::cli
