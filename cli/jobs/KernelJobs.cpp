// Lists jobs and runs them.
#include "cli/jobs/KernelJobs.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <set>

#include "autotune/Candidates.h"
#include "cli/check/DescriptorFile.h"
#include "cli/jobs/FusedLayers.h"
#include "runtime/checkpoint/Checkpoint.h"
#include "runtime/core/Log.h"
#include "runtime/core/Parallel.h"
#include "runtime/device/DeviceLayer.h"

namespace gptqc::cli {
namespace {

Result<std::vector<Descriptor>> layersOfModel(const LayerSource &source) {
  GPTQC_ASSIGN(const Checkpoint checkpoint, Checkpoint::open(source.model));
  std::vector<Descriptor> layers;
  std::vector<NamedLayer> modules;
  for (const LayerInfo &layer : checkpoint.layers()) {
    layers.push_back(layer.descriptor);
    modules.push_back({layer.name, layer.descriptor});
  }
  if (source.fused) {
    const std::vector<Descriptor> fused = fusedLayers(modules);
    layers.insert(layers.end(), fused.begin(), fused.end());
  }
  if (layers.empty())
    return makeError(Code::NotFound, "{}: there is no quantized layer to compile", source.model);
  return layers;
}

} // namespace

Result<std::vector<Descriptor>> layersOf(const LayerSource &source) {
  std::vector<Descriptor> layers;
  if (!source.model.empty()) {
    GPTQC_ASSIGN(layers, layersOfModel(source));
  } else if (!source.descriptorFile.empty()) {
    GPTQC_ASSIGN(layers, readDescriptorFile(source.descriptorFile));
  } else {
    for (const std::string &text : source.descriptors) {
      GPTQC_ASSIGN(const Descriptor descriptor, Descriptor::parse(text));
      layers.push_back(descriptor);
    }
  }
  std::vector<Descriptor> distinct;
  for (const Descriptor &layer : layers)
    if (std::find(distinct.begin(), distinct.end(), layer.canonical()) == distinct.end())
      distinct.push_back(layer.canonical());
  return distinct;
}

std::vector<KernelJob> bucketJobs(const std::vector<Descriptor> &layers,
                                  const std::vector<Target> &targets,
                                  const std::vector<int64_t> &tokens) {
  std::vector<MRange> buckets;
  for (const MRange &bucket : allBuckets())
    if (tokens.empty() || std::any_of(tokens.begin(), tokens.end(),
                                      [&](int64_t m) { return bucketFor(m) == bucket; }))
      buckets.push_back(bucket);
  std::vector<KernelJob> jobs;
  std::set<std::string> seen;
  for (const Target &target : targets)
    for (const Descriptor &layer : layers)
      for (const MRange &bucket : buckets) {
        KernelJob job;
        job.descriptor = layer;
        job.descriptor.m = {std::max(bucket.lo, layer.m.lo), std::min(bucket.hi, layer.m.hi)};
        job.target = target;
        if (job.descriptor.m.lo <= job.descriptor.m.hi &&
            seen.insert(job.descriptor.print() + " | " + target.print()).second)
          jobs.push_back(std::move(job));
      }
  return jobs;
}

namespace {

void compileJob(Compiler &compiler, KernelJob &job) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  job.image =
      job.support.empty()
          ? compiler.compileLinear(job.descriptor, job.target, job.schedule, job.kind)
          : compiler.compileSupport(job.support, RepackKernels::kEntry, job.target, {}, job.kind);
  job.seconds = std::chrono::duration<double>(Clock::now() - start).count();
}

/// Indices of jobs by the code that they compile, so that no thread waits for another's. The last
/// ones come first: kernels for many tokens take longest.
std::vector<std::vector<size_t>> jobsByCode(Compiler &compiler, const std::vector<KernelJob> &jobs,
                                            int threads) {
  std::vector<std::string> keys(jobs.size());
  parallelFor(int64_t(jobs.size()), threads, [&](int64_t i, int) {
    const KernelJob &job = jobs[size_t(i)];
    Result<std::string> key = Status(Code::NotFound, "a support kernel");
    if (job.support.empty())
      key = compiler.codeKey(job.descriptor, job.target, job.schedule);
    const bool compiles = key.ok() && !key->empty(); // an error comes again when it is compiled
    keys[size_t(i)] = compiles ? *key : fmt::format("{}", i);
  });
  std::vector<std::vector<size_t>> groups;
  std::map<std::string, size_t> groupOf;
  for (size_t i = jobs.size(); i-- > 0;) {
    const auto [place, isNew] = groupOf.try_emplace(keys[i], groups.size());
    if (isNew)
      groups.emplace_back();
    groups[place->second].push_back(i);
  }
  return groups;
}

} // namespace

void compileJobs(Compiler &compiler, std::vector<KernelJob> &jobs, unsigned threads,
                 const std::function<void(const KernelJob &)> &done) {
  const int workers = resolveThreads(int(threads));
  const std::vector<std::vector<size_t>> groups = jobsByCode(compiler, jobs, workers);
  parallelFor(int64_t(groups.size()), workers, [&](int64_t group, int) {
    for (const size_t i : groups[size_t(group)]) {
      compileJob(compiler, jobs[i]);
      if (done)
        done(jobs[i]);
    }
  });
}

Status jobsVerdict(const std::vector<KernelJob> &jobs) {
  const auto failed = [](const KernelJob &job) { return !job.image.ok(); };
  const auto count = std::count_if(jobs.begin(), jobs.end(), failed);
  if (count == 0)
    return Status();
  return std::find_if(jobs.begin(), jobs.end(), failed)
      ->image.status()
      .withContext(fmt::format("{} of {} kernels failed, the first", count, jobs.size()));
}

Result<ScheduleLookup> tunedLookup(const std::string &recordsFile) {
  if (recordsFile.empty())
    return ScheduleLookup();
  GPTQC_ASSIGN(Records records, Records::load(recordsFile));
  if (records.torn())
    Log().warning("{}: the last line is not complete and is left out", recordsFile);
  const auto shared = std::make_shared<const Records>(std::move(records));
  return ScheduleLookup([shared](const Descriptor &descriptor, const Target &target) {
    const TuningRecord *found = shared->best(descriptor, target);
    if (!found)
      found = nearestLegal(*shared, descriptor, target);
    return found ? std::optional(found->schedule) : std::nullopt;
  });
}

} // namespace gptqc::cli
