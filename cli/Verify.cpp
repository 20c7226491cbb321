// gptqc verify: every quantized layer of a model, or synthetic layers of descriptors, on random
// activations against the double-precision reference.
#include <cstdio>
#include <memory>

#include "cli/Commands.h"
#include "cli/check/DescriptorFile.h"
#include "cli/check/Verify.h"
#include "runtime/checkpoint/Checkpoint.h"

namespace gptqc::cli {
namespace {

struct VerifyArguments {
  std::string model, layer, descriptorFile;
  std::vector<std::string> descriptors;
  std::string device = "auto", tokens = "1,7,16,33,128", inputs = "mixed";
  std::string schedule, family = "auto", nvrtc, cache;
  uint64_t seed = 1;
  int threads = 0;
  int64_t runs = 2;
  bool json = false, noCache = false;
};

Result<std::vector<VerifyLayer>> modelLayers(const VerifyArguments &arguments) {
  GPTQC_ASSIGN(Checkpoint opened, Checkpoint::open(arguments.model));
  const auto checkpoint = std::make_shared<const Checkpoint>(std::move(opened));
  std::vector<VerifyLayer> layers;
  for (const LayerInfo &info : checkpoint->layers()) {
    if (info.name.find(arguments.layer) == std::string::npos)
      continue;
    layers.push_back({info.name, info.descriptor,
                      [checkpoint, &info] { return checkpoint->loadLayer(info); },
                      fmt::format("'{}' --layer '{}'", arguments.model, info.name)});
  }
  if (layers.empty())
    return makeError(Code::NotFound, "{}: no quantized layer{}; see gptqc inspect", arguments.model,
                     arguments.layer.empty() ? "" : " with `" + arguments.layer + "` in its name");
  return layers;
}

Result<std::vector<VerifyLayer>> collectLayers(const VerifyArguments &arguments) {
  if (!arguments.model.empty())
    return modelLayers(arguments);
  std::vector<Descriptor> descriptors;
  if (!arguments.descriptorFile.empty()) {
    GPTQC_ASSIGN(descriptors, readDescriptorFile(arguments.descriptorFile));
  }
  for (const std::string &text : arguments.descriptors) {
    GPTQC_ASSIGN(const Descriptor descriptor, Descriptor::parse(text));
    descriptors.push_back(descriptor);
  }
  return syntheticLayers(descriptors, arguments.seed);
}

void chooseInputs(const std::string &text, VerifyOptions &options) {
  options.allInputs = text == "all";
  for (Inputs inputs : kAllInputs)
    if (text == inputsName(inputs))
      options.inputs = inputs;
}

Result<RunnerOptions> runnerOptions(const VerifyArguments &arguments, std::string &repro) {
  RunnerOptions options;
  options.threads = arguments.threads;
  options.runs = arguments.runs;
  options.nvrtcPath = arguments.nvrtc;
  options.cacheDir = arguments.cache;
  options.useCache = !arguments.noCache;
  if (!arguments.schedule.empty()) {
    GPTQC_ASSIGN(options.kernels.schedule, Schedule::parse(arguments.schedule));
    repro += fmt::format(" --schedule '{}'", arguments.schedule);
  } else if (arguments.family != "auto") {
    options.kernels.family = parseFamily(arguments.family);
    repro += " --family " + arguments.family;
  }
  return options;
}

Status verify(const VerifyArguments &arguments) {
  GPTQC_ASSIGN(const std::vector<VerifyLayer> layers, collectLayers(arguments));
  VerifyOptions options;
  options.seed = arguments.seed;
  GPTQC_ASSIGN(options.tokens, parseTokenCounts(arguments.tokens));
  chooseInputs(arguments.inputs, options);
  std::string note, repro;
  GPTQC_ASSIGN(const RunnerOptions runnerSettings, runnerOptions(arguments, repro));
  GPTQC_ASSIGN(const std::unique_ptr<Runner> runner,
               makeRunner(arguments.device, runnerSettings, note));
  if (!repro.empty() && runner->kind() == "cpu")
    return invalidArgument("{} chooses kernels of a GPU, and this runs on the CPU",
                           arguments.schedule.empty() ? "--family" : "--schedule");
  options.reproSuffix = " --device " + runner->kind() + repro;
  if (!note.empty())
    fmt::print(stderr, "gptqc: verify: {}\n", note);
  if (!arguments.json)
    fmt::print("verify {} layer{} on {}, seed {}\n\n{}\n", layers.size(),
               layers.size() == 1 ? "" : "s", runner->device(), options.seed,
               verifyTableHead(layers));
  const auto report = [&](const VerifyRow &row) {
    if (arguments.json)
      return;
    fmt::print("{}\n", verifyTableRow(layers, row));
    std::fflush(stdout);
  };
  const std::vector<VerifyRow> rows = verifyLayers(layers, *runner, options, report);
  const Status verdict = verifyVerdict(rows);
  if (arguments.json)
    fmt::print("{}\n", verifyJson(rows, runner->device(), options.seed));
  else if (verdict.ok())
    fmt::print("\nall {} checks passed\n", rows.size());
  return verdict;
}

} // namespace

void registerVerify(CLI::App &app, Outcome &outcome) {
  auto arguments = std::make_shared<VerifyArguments>();
  VerifyArguments &a = *arguments;
  CLI::App *command = app.add_subcommand(
      "verify", "Run layers on random activations and compare with the double-precision reference");
  CLI::Option_group *source = command->add_option_group("layers", "What to verify (one of)");
  source->add_option("MODEL", a.model, "Folder of a GPTQ checkpoint: all its quantized layers");
  source
      ->add_option("--descriptor", a.descriptors,
                   "A synthetic layer, e.g. 'w4 g128 sym f16->f16 n4096 k4096 m1..'; repeatable")
      ->allow_extra_args(false);
  source->add_option("--descriptors", a.descriptorFile,
                     "Synthetic layers from a file, one descriptor a line");
  source->require_option(1);
  command->add_option("--layer", a.layer, "Only layers of MODEL with this in their name");
  command->add_option("--device", a.device, "auto: the GPU when there is one, else the CPU")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str();
  command->add_option("--m", a.tokens, "Token counts")->capture_default_str();
  command->add_option("--seed", a.seed, "Seed of weights and activations")->capture_default_str();
  command
      ->add_option("--inputs", a.inputs,
                   "Activations: one kind, all of them for every m, or mixed: they take turns")
      ->check(CLI::IsMember({"mixed", "all", "normal", "shifted", "outlier", "nonfinite"}))
      ->capture_default_str();
  command->add_option("--schedule", a.schedule, "Use this schedule for every kernel (cuda)");
  command->add_option("--family", a.family, "Use the best schedule of this family (cuda)")
      ->check(CLI::IsMember({"auto", "simt", "mma", "gemv", "wgmma"}))
      ->capture_default_str();
  command
      ->add_option("--runs", a.runs,
                   "Runs of a kernel on each input, whose results must be the same (cuda)")
      ->check(CLI::Range(int64_t(2), int64_t(1000000)))
      ->capture_default_str();
  command->add_option("--threads", a.threads, "CPU threads; 0: all")->check(CLI::Range(0, 4096));
  command->add_option("--nvrtc", a.nvrtc, "libnvrtc to use (cuda)");
  command->add_option("--cache", a.cache, "Folder of the kernel cache (cuda)");
  command->add_flag("--no-cache", a.noCache, "Neither read nor write the kernel cache (cuda)");
  command->add_flag("--json", a.json, "Print one JSON object instead of the table");
  command->callback([arguments, &outcome] { outcome.status = verify(*arguments); });
}

} // namespace gptqc::cli
