// gptqc pack build | ls | verify | diff: kernels compiled ahead of time, in one file.
#include <cstdio>
#include <memory>

#include <nlohmann/json.hpp>

#include "cli/Commands.h"
#include "cli/KernelJobs.h"
#include "cli/Progress.h"
#include "cli/jobs/PackJobs.h"
#include "runtime/pack/Pack.h"

namespace gptqc::cli {
namespace {

struct PackArguments {
  LayerSource layers;
  std::string target = "sm_90a", tuned, output, nvrtc, cache;
  std::vector<int64_t> tokens;
  std::vector<std::string> files;
  unsigned threads = 0;
  bool noCache = false, noPtx = false, json = false;
};

Status build(const PackArguments &arguments) {
  GPTQC_ASSIGN(const std::vector<Target> targets, Target::parseList(arguments.target));
  GPTQC_ASSIGN(const std::vector<Descriptor> layers, layersOf(arguments.layers));
  GPTQC_ASSIGN(std::vector<KernelJob> jobs,
               packJobs(layers, targets, arguments.tokens, !arguments.noPtx));
  CompilerOptions options;
  options.nvrtcPath = arguments.nvrtc;
  options.cacheDir = arguments.cache;
  options.useCache = !arguments.noCache;
  GPTQC_ASSIGN(options.tuned, tunedLookup(arguments.tuned));
  GPTQC_ASSIGN(const std::unique_ptr<Compiler> compiler, Compiler::create(options));
  compileJobs(*compiler, jobs, arguments.threads, "pack");
  GPTQC_ASSIGN(const PackSummary summary,
               writePack(jobs, arguments.target, arguments.tuned, arguments.output));
  fmt::print("{}: {} kernels, {}\n", arguments.output, summary.kernels, formatBytes(summary.bytes));
  return Status();
}

std::string kindOf(const PackKernel &kernel) {
  return kernel.ptx ? fmt::format("compute_{}", kernel.target.capability) : kernel.target.arch();
}

std::string nameOf(const PackKernel &kernel) {
  return kernel.support.empty() ? kernel.facts.descriptor : kernel.support;
}

Status list(const PackArguments &arguments) {
  GPTQC_ASSIGN(const auto pack, Pack::open(arguments.files[0]));
  if (arguments.json) {
    fmt::print("{}\n", pack->manifest());
    return Status();
  }
  size_t width = 10;
  for (const PackKernel &kernel : pack->kernels())
    width = std::max(width, nameOf(kernel).size());
  fmt::print("{:<{}}  {:<10}  {:>6}  {:>9}  {}\n", "kernel", width, "code for", "driver", "size",
             "schedule");
  for (const PackKernel &kernel : pack->kernels())
    fmt::print("{:<{}}  {:<10}  {:>6}  {:>9}  {}\n", nameOf(kernel), width, kindOf(kernel),
               fmt::format("{}.{}", kernel.minimumDriver / 1000, kernel.minimumDriver % 1000 / 10),
               formatBytes(kernel.bytes), kernel.facts.schedule);
  for (const auto &[key, value] : pack->provenance())
    fmt::print("{}: {}\n", key, value);
  fmt::print("{} kernels, {} launch tables, {}\n", pack->kernels().size(), pack->tables().size(),
             pack->digest());
  return Status();
}

Status verify(const PackArguments &arguments) {
  for (const std::string &file : arguments.files) {
    GPTQC_ASSIGN(const auto pack, Pack::open(file));
    GPTQC_TRY(pack->verify());
    fmt::print("{}: {} kernels, undamaged\n", file, pack->kernels().size());
  }
  return Status();
}

/// What a kernel is for -> the line that diff compares.
std::map<std::string, std::string> linesOf(const Pack &pack) {
  std::map<std::string, std::string> lines;
  for (const auto &[key, value] : pack.provenance())
    lines["provenance " + key] = value;
  for (const PackKernel &kernel : pack.kernels())
    lines[nameOf(kernel) + " | " + kindOf(kernel)] = fmt::format(
        "{} | {} | {}", kernel.facts.schedule, kernel.facts.compiler, kernel.digest.substr(0, 12));
  return lines;
}

Status diff(const PackArguments &arguments) {
  GPTQC_ASSIGN(const auto first, Pack::open(arguments.files[0]));
  GPTQC_ASSIGN(const auto second, Pack::open(arguments.files[1]));
  GPTQC_TRY(first->verify()); // what they say of themselves is compared
  GPTQC_TRY(second->verify());
  const auto before = linesOf(*first), after = linesOf(*second);
  int64_t changes = 0;
  for (const auto &[what, line] : before) {
    const auto other = after.find(what);
    if (other != after.end() && other->second == line)
      continue;
    ++changes;
    fmt::print("- {} | {}\n", what, line);
    if (other != after.end())
      fmt::print("+ {} | {}\n", what, other->second);
  }
  for (const auto &[what, line] : after)
    if (!before.contains(what)) {
      ++changes;
      fmt::print("+ {} | {}\n", what, line);
    }
  if (changes == 0)
    return Status();
  std::fflush(stdout);
  return invalidArgument("{} and {} differ in {} places", arguments.files[0], arguments.files[1],
                         changes);
}

void registerBuild(CLI::App &command, const std::shared_ptr<PackArguments> &arguments,
                   Outcome &outcome) {
  PackArguments &a = *arguments;
  CLI::App *sub = command.add_subcommand("build", "Compile kernels into a pack (needs no GPU)");
  addLayerSource(*sub, a.layers);
  sub->add_option("--target", a.target, "GPUs, e.g. sm_80,sm_90a")->capture_default_str();
  sub->add_option("-o,--output", a.output, "File to write, e.g. model.kernels.safetensors")
      ->required();
  sub->add_option("--m", a.tokens, "Token counts whose buckets are packed; default: all")
      ->delimiter(',')
      ->check(CLI::Range(int64_t(1), int64_t(1) << 40));
  sub->add_option("--tuned", a.tuned, "Tuning records: schedules where they have one");
  sub->add_flag("--no-ptx", a.noPtx, "No PTX for GPUs newer than the targets");
  sub->add_option("--threads", a.threads, "Compiling threads; 0: all cores")
      ->check(CLI::Range(0, 4096));
  sub->add_option("--cache", a.cache, "Folder of the kernel cache");
  sub->add_flag("--no-cache", a.noCache, "Neither read nor write the kernel cache");
  sub->add_option("--nvrtc", a.nvrtc, "libnvrtc to use");
  sub->callback([arguments, &outcome] { outcome.status = build(*arguments); });
}

} // namespace

void registerPack(CLI::App &app, Outcome &outcome) {
  auto arguments = std::make_shared<PackArguments>();
  PackArguments &a = *arguments;
  CLI::App *command = app.add_subcommand("pack", "Kernels compiled ahead of time, in one file");
  command->require_subcommand(1);
  registerBuild(*command, arguments, outcome);
  const auto add = [&](const char *name, const char *text, int least, int most,
                       Status (*action)(const PackArguments &)) -> CLI::App * {
    CLI::App *sub = command->add_subcommand(name, text);
    sub->add_option("PACKS", a.files, "Pack files")->required()->expected(least, most);
    sub->callback([arguments, &outcome, action] { outcome.status = action(*arguments); });
    return sub;
  };
  add("ls", "List the kernels of a pack", 1, 1, list)
      ->add_flag("--json", a.json, "The manifest, on stdout");
  add("verify", "Check every digest; exit code 1 when something is damaged", 1, 1000, verify);
  add("diff", "What differs between two packs; exit code 1 when something does", 2, 2, diff);
}

} // namespace gptqc::cli
