// The compiler: stages of one kernel as text, all kernels of a model, packs.
#include <mutex>

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "cli/jobs/PackJobs.h"
#include "python/src/Bindings.h"
#include "python/src/Support.h"

namespace gptqc::python {
namespace {

struct KernelSettings {
  std::string nvrtc;
  std::optional<std::string> cache; ///< nothing: the default folder; "": none
  std::string tuned;                ///< a file of tuning records; empty: none
  unsigned threads = 0;
};

KernelSettings kernelSettingsFrom(const nb::dict &given) {
  KernelSettings settings;
  settings.nvrtc = nb::cast<std::string>(given["nvrtc"]);
  settings.cache = nb::cast<std::optional<std::string>>(given["cache"]);
  settings.tuned = nb::cast<std::string>(given["tuned"]);
  settings.threads = nb::cast<unsigned>(given["threads"]);
  return settings;
}

Result<std::unique_ptr<Compiler>> openCompiler(const KernelSettings &settings) {
  CompilerOptions options;
  options.nvrtcPath = settings.nvrtc;
  options.cacheDir = settings.cache.value_or("");
  options.useCache = !settings.cache || !settings.cache->empty();
  GPTQC_ASSIGN(options.tuned, cli::tunedLookup(settings.tuned));
  return Compiler::create(options);
}

cli::LayerSource sourceFrom(const std::string &model, const std::vector<std::string> &descriptors,
                            bool fused) {
  cli::LayerSource source;
  source.model = model;
  source.descriptors = descriptors;
  source.fused = fused;
  return source;
}

Result<std::optional<Schedule>> scheduleFrom(const std::string &text) {
  if (text.empty())
    return std::optional<Schedule>();
  GPTQC_ASSIGN(const Schedule schedule, Schedule::parse(text));
  return std::optional(schedule);
}

std::string emit(const std::string &descriptor, const std::string &target,
                 const std::string &schedule, const std::string &stage, const nb::dict &given) {
  const KernelSettings settings = kernelSettingsFrom(given);
  const auto work = [&]() -> Result<std::string> {
    GPTQC_ASSIGN(const Descriptor layer, Descriptor::parse(descriptor));
    GPTQC_ASSIGN(const Target gpu, Target::parse(target));
    GPTQC_ASSIGN(const std::optional<Schedule> how, scheduleFrom(schedule));
    GPTQC_ASSIGN(const Stage wanted, parseStage(stage));
    GPTQC_ASSIGN(const std::unique_ptr<Compiler> compiler, openCompiler(settings));
    return compiler->emit(layer, gpu, how, wanted);
  };
  return unlocked([&] { return take(work()); });
}

void compileAll(Compiler &compiler, std::vector<cli::KernelJob> &jobs, unsigned threads,
                Callback &callback) {
  std::mutex mutex;
  int64_t done = 0;
  cli::compileJobs(compiler, jobs, threads, [&](const cli::KernelJob &job) {
    if (!callback)
      return;
    int64_t count = 0;
    {
      const std::lock_guard lock(mutex);
      count = ++done;
    }
    callback(count, int64_t(jobs.size()), job.print());
  });
}

nb::dict kernelOf(const cli::KernelJob &job) {
  nb::dict facts;
  facts["descriptor"] = job.descriptor.print();
  facts["target"] = job.target.print();
  facts["seconds"] = job.seconds;
  if (!job.image.ok()) {
    facts["error"] = job.image.status().message();
    return facts;
  }
  const KernelImage &image = *job.image;
  facts["schedule"] = image.schedule;
  facts["registers"] = image.resources.registers;
  facts["shared_bytes"] = image.launch.sharedBytes + image.resources.staticSharedBytes;
  facts["spill_bytes"] = image.resources.spillStores + image.resources.spillLoads;
  facts["compiler"] = image.compiler;
  facts["cubin"] = nb::bytes(image.cubin.data(), image.cubin.size());
  return facts;
}

nb::list compile(const std::string &model, const std::vector<std::string> &descriptors, bool fused,
                 const std::string &targets, const std::vector<int64_t> &tokens,
                 const nb::dict &given, nb::object progress) {
  const KernelSettings settings = kernelSettingsFrom(given);
  Callback callback(std::move(progress), true);
  const auto work = [&]() -> Result<std::vector<cli::KernelJob>> {
    GPTQC_ASSIGN(const std::vector<Target> gpus, Target::parseList(targets));
    GPTQC_ASSIGN(const std::vector<Descriptor> layers,
                 cli::layersOf(sourceFrom(model, descriptors, fused)));
    GPTQC_ASSIGN(const std::unique_ptr<Compiler> compiler, openCompiler(settings));
    std::vector<cli::KernelJob> jobs = cli::bucketJobs(layers, gpus, tokens);
    compileAll(*compiler, jobs, settings.threads, callback);
    GPTQC_TRY(cli::jobsVerdict(jobs));
    return jobs;
  };
  Result<std::vector<cli::KernelJob>> jobs = unlocked(work);
  callback.finish();
  nb::list kernels;
  for (const cli::KernelJob &job : take(std::move(jobs)))
    kernels.append(kernelOf(job));
  return kernels;
}

nb::tuple pack(const std::string &model, const std::vector<std::string> &descriptors, bool fused,
               const std::string &targets, const std::vector<int64_t> &tokens, bool ptx,
               const std::string &output, const nb::dict &given, nb::object progress) {
  const KernelSettings settings = kernelSettingsFrom(given);
  Callback callback(std::move(progress), true);
  const auto work = [&]() -> Result<cli::PackSummary> {
    GPTQC_ASSIGN(const std::vector<Target> gpus, Target::parseList(targets));
    GPTQC_ASSIGN(const std::vector<Descriptor> layers,
                 cli::layersOf(sourceFrom(model, descriptors, fused)));
    GPTQC_ASSIGN(std::vector<cli::KernelJob> jobs, cli::packJobs(layers, gpus, tokens, ptx));
    GPTQC_ASSIGN(const std::unique_ptr<Compiler> compiler, openCompiler(settings));
    compileAll(*compiler, jobs, settings.threads, callback);
    return cli::writePack(jobs, targets, settings.tuned, output);
  };
  Result<cli::PackSummary> summary = unlocked(work);
  callback.finish();
  const cli::PackSummary written = take(std::move(summary));
  return nb::make_tuple(written.kernels, written.bytes);
}

} // namespace

void bindKernels(nb::module_ &module) {
  module.def("emit", emit, nb::arg("descriptor"), nb::arg("target"), nb::arg("schedule"),
             nb::arg("stage"), nb::arg("settings"));
  module.def("compile", compile, nb::arg("model"), nb::arg("descriptors"), nb::arg("fused"),
             nb::arg("targets"), nb::arg("tokens"), nb::arg("settings"),
             nb::arg("progress").none());
  module.def("pack", pack, nb::arg("model"), nb::arg("descriptors"), nb::arg("fused"),
             nb::arg("targets"), nb::arg("tokens"), nb::arg("ptx"), nb::arg("output"),
             nb::arg("settings"), nb::arg("progress").none());
}

} // namespace gptqc::python
