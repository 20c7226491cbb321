// What goes into a pack, and writing it.
#include "cli/jobs/PackJobs.h"

#include <algorithm>
#include <set>

#include "runtime/core/Hash.h"
#include "runtime/device/DeviceLayer.h"
#include "runtime/pack/PackBuilder.h"

namespace gptqc::cli {
namespace {

/// Where PTX for later GPUs is planned: for the least shared memory among the GPUs that run it, so
/// that they all can.
struct Fallback {
  int capability;
  const char *planned;
};
constexpr Fallback kFallbacks[] = {{90, "sm_120"}, {80, "sm_86"}, {75, "sm_75"}};

/// The latest fallback that each target could run itself: what newer GPUs of its kind will run.
std::vector<Fallback> fallbacksFor(const std::vector<Target> &targets) {
  std::vector<Fallback> chosen;
  for (const Target &target : targets) {
    const auto *found =
        std::find_if(std::begin(kFallbacks), std::end(kFallbacks),
                     [&](const Fallback &f) { return f.capability <= target.capability; });
    if (found != std::end(kFallbacks) &&
        std::none_of(chosen.begin(), chosen.end(),
                     [&](const Fallback &f) { return f.capability == found->capability; }))
      chosen.push_back(*found);
  }
  return chosen;
}

KernelJob supportJob(const Target &target, CodeKind kind) {
  KernelJob job;
  job.support = RepackKernels::kFile;
  job.target = target;
  job.kind = kind;
  return job;
}

} // namespace

Result<std::vector<KernelJob>> packJobs(const std::vector<Descriptor> &layers,
                                        const std::vector<Target> &targets,
                                        const std::vector<int64_t> &tokens, bool ptx) {
  std::vector<KernelJob> jobs = bucketJobs(layers, targets, tokens);
  if (jobs.empty())
    return invalidArgument("descriptor '{}': none of the {} token counts is in its range",
                           layers.front().print(), tokens.size());
  std::set<std::string> architectures;
  for (const Target &target : targets) {
    if (!architectures.insert(target.arch()).second)
      return invalidArgument("targets: {} is named twice; one schedule per architecture",
                             target.arch());
    jobs.push_back(supportJob(target, CodeKind::Cubin));
  }
  if (!ptx)
    return jobs;
  for (const Fallback &fallback : fallbacksFor(targets)) {
    GPTQC_ASSIGN(const Target code, Target::parse(fmt::format("sm_{}", fallback.capability)));
    GPTQC_ASSIGN(const Target planned, Target::parse(fallback.planned));
    for (KernelJob &job : bucketJobs(layers, {code}, tokens)) {
      job.kind = CodeKind::Ptx;
      GPTQC_ASSIGN(job.schedule, Compiler::defaultSchedule(job.descriptor, planned));
      jobs.push_back(std::move(job));
    }
    jobs.push_back(supportJob(code, CodeKind::Ptx));
  }
  return jobs;
}

Result<PackSummary> writePack(std::vector<KernelJob> &jobs, const std::string &targets,
                              const std::string &tuned, const std::string &output) {
  GPTQC_TRY(jobsVerdict(jobs));
  PackBuilder pack;
  pack.setProvenance("gptqc", Compiler::buildId());
  pack.setProvenance("nvrtc", jobs.front().image->compiler);
  pack.setProvenance("targets", targets);
  if (!tuned.empty()) {
    GPTQC_ASSIGN(const std::string digest, sha256File(tuned));
    pack.setProvenance("records_sha256", digest);
  }
  PackSummary summary;
  for (KernelJob &job : jobs) {
    const bool ptx = job.kind == CodeKind::Ptx;
    summary.bytes += int64_t(job.image->cubin.size());
    GPTQC_TRY(job.support.empty() ? pack.addLinear(std::move(*job.image), ptx)
                                  : pack.addSupport(job.support, std::move(*job.image), ptx));
  }
  GPTQC_TRY(pack.write(output));
  summary.kernels = int64_t(pack.size());
  return summary;
}

} // namespace gptqc::cli
