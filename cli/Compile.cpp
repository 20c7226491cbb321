// gptqc compile: any stage of one descriptor, or all kernels of a checkpoint into the cache.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>

#include "cli/Commands.h"
#include "cli/KernelJobs.h"
#include "cli/Progress.h"
#include "compiler/Compiler.h"
#include "runtime/core/AtomicFile.h"

namespace gptqc::cli {
namespace {

struct CompileOptions {
  std::string model, descriptor, target = "sm_90a", schedule, stage, output, cache, nvrtc, tuned;
  std::vector<int64_t> tokens = {1, 2, 4, 8, 16, 32, 64, 128, 512, 2048};
  bool noCache = false;
  unsigned threads = 0;
};

Status writeOutput(const std::string &path, const void *data, size_t size) {
  if (!path.empty())
    return writeFileAtomically(path, data, size);
  if (std::fwrite(data, 1, size, stdout) != size || std::fflush(stdout) != 0)
    return Status(Code::IoError, "stdout: cannot write; use -o FILE");
  return Status();
}

Result<std::unique_ptr<Compiler>> makeCompiler(const CompileOptions &options) {
  CompilerOptions settings;
  settings.nvrtcPath = options.nvrtc;
  settings.cacheDir = options.cache;
  settings.useCache = !options.noCache;
  GPTQC_ASSIGN(settings.tuned, tunedLookup(options.tuned));
  return Compiler::create(settings);
}

Status compileDescriptor(const CompileOptions &options) {
  GPTQC_ASSIGN(const Descriptor descriptor, Descriptor::parse(options.descriptor));
  GPTQC_ASSIGN(const Target target, Target::parse(options.target));
  std::optional<Schedule> schedule;
  if (!options.schedule.empty()) {
    GPTQC_ASSIGN(schedule, Schedule::parse(options.schedule));
  }
  GPTQC_ASSIGN(const std::unique_ptr<Compiler> compiler, makeCompiler(options));
  if (options.stage == "cubin") {
    if (options.output.empty())
      return invalidArgument("--emit=cubin writes binary code; name a file with -o");
    GPTQC_ASSIGN(const KernelImage image, compiler->compileLinear(descriptor, target, schedule));
    return writeOutput(options.output, image.cubin.data(), image.cubin.size());
  }
  GPTQC_ASSIGN(const Stage stage, parseStage(options.stage.empty() ? "report" : options.stage));
  GPTQC_ASSIGN(const std::string text, compiler->emit(descriptor, target, schedule, stage));
  return writeOutput(options.output, text.data(), text.size());
}

void printTable(const std::vector<KernelJob> &jobs) {
  size_t descriptorWidth = 10, targetWidth = 6, scheduleWidth = 8;
  for (const KernelJob &job : jobs) {
    descriptorWidth = std::max(descriptorWidth, job.descriptor.print().size());
    targetWidth = std::max(targetWidth, job.target.print().size());
    if (job.image.ok())
      scheduleWidth = std::max(scheduleWidth, job.image->schedule.size());
  }
  fmt::print("{:<{}}  {:<{}}  {:<{}}  {:>8}  {:>9}  {:>8}  {:>6}\n", "descriptor", descriptorWidth,
             "target", targetWidth, "schedule", scheduleWidth, "time", "registers", "shared",
             "spills");
  for (const KernelJob &job : jobs) {
    fmt::print("{:<{}}  {:<{}}  ", job.descriptor.print(), descriptorWidth, job.target.print(),
               targetWidth);
    if (!job.image.ok()) {
      fmt::print("failed: {}\n", job.image.status().message());
      continue;
    }
    const KernelImage &image = *job.image;
    fmt::print("{:<{}}  {:>8}  {:>9}  {:>8}  {:>6}\n", image.schedule, scheduleWidth,
               formatSeconds(job.seconds), image.resources.registers,
               image.launch.sharedBytes + image.resources.staticSharedBytes,
               image.resources.spillStores + image.resources.spillLoads);
  }
}

Status compileModel(const CompileOptions &options) {
  GPTQC_ASSIGN(const std::vector<Target> targets, Target::parseList(options.target));
  LayerSource source;
  source.model = options.model;
  GPTQC_ASSIGN(const std::vector<Descriptor> layers, layersOf(source));
  std::vector<KernelJob> jobs = bucketJobs(layers, targets, options.tokens);
  GPTQC_ASSIGN(const std::unique_ptr<Compiler> compiler, makeCompiler(options));
  const auto start = std::chrono::steady_clock::now();
  compileJobs(*compiler, jobs, options.threads, "compile");
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  printTable(jobs);
  const auto done =
      std::count_if(jobs.begin(), jobs.end(), [](const KernelJob &job) { return job.image.ok(); });
  fmt::print("{} kernels in {}\n", done, formatSeconds(seconds));
  return jobsVerdict(jobs);
}

Status runCompile(const CompileOptions &options) {
  if (options.model.empty())
    return compileDescriptor(options);
  if (!options.schedule.empty() || !options.stage.empty() || !options.output.empty())
    return invalidArgument(
        "--schedule, --emit and -o are for a --descriptor, not for a whole model");
  return compileModel(options);
}

} // namespace

void registerCompile(CLI::App &app, Outcome &outcome) {
  auto options = std::make_shared<CompileOptions>();
  CompileOptions &o = *options;
  CLI::App *command =
      app.add_subcommand("compile", "Compile a descriptor, or all layers of a checkpoint");
  CLI::Option_group *source = command->add_option_group("layers", "What to compile (one of)");
  source->add_option("MODEL", o.model, "Folder of a GPTQ checkpoint: its kernels go to the cache");
  source->add_option("--descriptor", o.descriptor,
                     "One layer, e.g. 'w4 g128 sym f16->f16 n4096 k4096 m1..1'");
  source->require_option(1);
  command->add_option("--target", o.target, "GPU, e.g. sm_90a; for MODEL several, with commas")
      ->capture_default_str();
  command->add_option("--schedule", o.schedule, "How; default: the cost model's choice");
  command->add_option("--tuned", o.tuned, "Tuning records: schedules where they have one");
  command->add_option("--emit", o.stage, "gptq, tile, cuda, ptx, cubin or report (the default)")
      ->check(CLI::IsMember({"gptq", "tile", "cuda", "ptx", "cubin", "report"}));
  command->add_option("-o,--output", o.output, "File to write; default: stdout");
  command->add_option("--m", o.tokens, "Token counts whose buckets are compiled (MODEL)")
      ->delimiter(',')
      ->check(CLI::Range(int64_t(1), int64_t(1) << 40))
      ->capture_default_str();
  command->add_option("--threads", o.threads, "Compiling threads; 0: all cores (MODEL)")
      ->check(CLI::Range(0, 4096));
  command->add_option("--cache", o.cache, "Folder of the kernel cache");
  command->add_flag("--no-cache", o.noCache, "Neither read nor write the kernel cache");
  command->add_option("--nvrtc", o.nvrtc, "libnvrtc to use");
  command->callback([options, &outcome] { outcome.status = runCompile(*options); });
}

} // namespace gptqc::cli
