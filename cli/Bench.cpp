// gptqc bench: times kernels on the GPU, beside the read floor and cuBLASLt, and writes the
// results.
#include <cstdio>
#include <memory>

#include "cli/Commands.h"
#include "cli/bench/ChainBench.h"
#include "cli/check/DescriptorFile.h"
#include "cli/jobs/KernelJobs.h"

namespace gptqc::cli {
namespace {

struct BenchArguments {
  std::vector<std::string> descriptors;
  std::string descriptorFile, chain, tuned, tokens, schedule, family = "auto", nvrtc, cache, cublas,
                                                              peers, output, name;
  double budgetMilliseconds = 50;
  uint64_t seed = 1;
  bool noDense = false, noCache = false, profile = false;
};

Result<std::vector<Descriptor>> collectDescriptors(const BenchArguments &arguments) {
  if (!arguments.chain.empty())
    return readDescriptorFile(arguments.chain);
  if (!arguments.descriptorFile.empty())
    return readDescriptorFile(arguments.descriptorFile);
  std::vector<Descriptor> descriptors;
  for (const std::string &text : arguments.descriptors) {
    GPTQC_ASSIGN(const Descriptor descriptor, Descriptor::parse(text));
    descriptors.push_back(descriptor);
  }
  return descriptors;
}

Result<BenchOptions> benchOptions(const BenchArguments &arguments) {
  BenchOptions options;
  options.budgetMilliseconds = arguments.budgetMilliseconds;
  options.dense = !arguments.noDense;
  options.profile = arguments.profile;
  options.cublasPath = arguments.cublas;
  options.seed = arguments.seed;
  if (!arguments.peers.empty()) {
    GPTQC_ASSIGN(options.peers, PeerTable::read(arguments.peers));
  }
  options.runner.nvrtcPath = arguments.nvrtc;
  options.runner.cacheDir = arguments.cache;
  options.runner.useCache = !arguments.noCache;
  GPTQC_ASSIGN(options.runner.kernels.tuned, tunedLookup(arguments.tuned));
  if (!arguments.tokens.empty()) {
    GPTQC_ASSIGN(options.tokens, parseTokenCounts(arguments.tokens));
  }
  if (!arguments.schedule.empty()) {
    GPTQC_ASSIGN(options.runner.kernels.schedule, Schedule::parse(arguments.schedule));
  } else if (arguments.family != "auto") {
    options.runner.kernels.family = parseFamily(arguments.family);
  }
  return options;
}

/// File name of the results: the GPU and what was measured.
std::string stemOf(const BenchArguments &arguments, const CudaBench &bench) {
  if (!arguments.name.empty())
    return arguments.name;
  const std::string &file = arguments.chain.empty() ? arguments.descriptorFile : arguments.chain;
  const std::string what = file.empty() ? "bench" : std::filesystem::path(file).stem().string();
  return fmt::format("{}-{}", bench.deviceName(), what);
}

Status benchLayers(const BenchArguments &arguments, const std::vector<Descriptor> &descriptors,
                   CudaBench &bench) {
  const BenchTable table = {descriptors, bench.settings().comparesDefaults()};
  if (!arguments.profile)
    fmt::print("{}\n", table.head());
  std::fflush(stdout);
  const auto report = [&](const BenchRow &row) {
    if (arguments.profile && row.error.ok())
      fmt::print("{} | {} | {}\n", row.descriptor.print(), row.m, row.schedule);
    else
      fmt::print("{}\n", table.row(row));
    std::fflush(stdout);
  };
  fmt::print(stderr, "gptqc: bench: compiling kernels\n");
  const std::vector<BenchRow> rows = bench.run(descriptors, report);
  if (rows.empty())
    return invalidArgument("bench: no token count of --m {} lies in the range of a descriptor",
                           arguments.tokens);
  if (!arguments.output.empty()) {
    const std::string stem = stemOf(arguments, bench);
    GPTQC_TRY(writeBenchFiles(arguments.output, stem, bench.head(), rows, bench.limits()));
    fmt::print("\nwritten: {0}/{1}.txt, {0}/{1}.svg\n", arguments.output, stem);
  }
  return benchVerdict(rows);
}

Status benchChainOf(const BenchArguments &arguments, const std::vector<Descriptor> &chain,
                    const CudaBench &bench) {
  const auto report = [](const ChainRow &row) {
    fmt::print("{}\n", chainText(row));
    std::fflush(stdout);
  };
  const std::vector<ChainRow> rows = benchChain(bench, chain, report);
  if (!arguments.output.empty()) {
    const std::string stem = stemOf(arguments, bench);
    GPTQC_TRY(writeChainFile(arguments.output, stem, bench.head(), rows));
    fmt::print("written: {}/{}.txt\n", arguments.output, stem);
  }
  return chainVerdict(rows);
}

Status bench(const BenchArguments &arguments) {
  GPTQC_ASSIGN(const std::vector<Descriptor> descriptors, collectDescriptors(arguments));
  GPTQC_ASSIGN(const BenchOptions options, benchOptions(arguments));
  GPTQC_ASSIGN(const std::unique_ptr<CudaBench> bench, CudaBench::create(options));
  fmt::print("{}\n", benchHeadText(bench->head()));
  return arguments.chain.empty() ? benchLayers(arguments, descriptors, *bench)
                                 : benchChainOf(arguments, descriptors, *bench);
}

} // namespace

void registerBench(CLI::App &app, Outcome &outcome) {
  auto arguments = std::make_shared<BenchArguments>();
  BenchArguments &a = *arguments;
  CLI::App *command =
      app.add_subcommand("bench", "Time kernels on the GPU, beside the read floor and cuBLASLt");
  CLI::Option_group *source = command->add_option_group("layers", "What to measure (one of)");
  source
      ->add_option("--descriptor", a.descriptors,
                   "A synthetic layer, e.g. 'w4 g128 sym f16->f16 n4096 k4096 m1..1'; repeatable")
      ->allow_extra_args(false);
  source->add_option("--descriptors", a.descriptorFile, "A file, one descriptor a line");
  source->add_option("--chain", a.chain,
                     "A file with the layers of one block in order, to be run in one graph");
  source->require_option(1);
  command->add_option("--m", a.tokens,
                      "Token counts; default: the upper end of each descriptor's range; of a "
                      "chain: 1,16");
  command->add_option("--schedule", a.schedule, "Use this schedule for every kernel");
  command->add_option("--family", a.family, "Use the best schedule of this family")
      ->check(CLI::IsMember({"auto", "simt", "mma", "gemv", "wgmma"}))
      ->capture_default_str();
  command->add_option("--tuned", a.tuned,
                      "Tuning records: schedules where they have one, beside the untuned defaults");
  command->add_option("-o,--output", a.output, "Folder for the results, as text and as SVG");
  command->add_option("--name", a.name, "Name of the result files; default: <gpu>-<input>");
  command->add_option("--time-ms", a.budgetMilliseconds, "Timed work per point")
      ->check(CLI::Range(1.0, 10000.0))
      ->capture_default_str();
  command->add_flag("--no-dense", a.noDense, "Do not measure cuBLASLt");
  command
      ->add_flag("--profile", a.profile,
                 "Time nothing: run each kernel, then cuBLASLt's, once where `ncu "
                 "--profile-from-start off` looks; see bench/profile.py")
      ->excludes("-o")
      ->excludes("--chain");
  command->add_option(
      "--peers", a.peers,
      "Recorded times to show, `descriptor | peer | us` a line; default: those that "
      "ship for the GPU");
  command->add_option("--cublas", a.cublas, "libcublasLt to use");
  command->add_option("--nvrtc", a.nvrtc, "libnvrtc to use");
  command->add_option("--cache", a.cache, "Folder of the kernel cache");
  command->add_flag("--no-cache", a.noCache, "Neither read nor write the kernel cache");
  command->add_option("--seed", a.seed, "Seed of weights and activations")->capture_default_str();
  command->callback([arguments, &outcome] { outcome.status = bench(*arguments); });
}

} // namespace gptqc::cli
