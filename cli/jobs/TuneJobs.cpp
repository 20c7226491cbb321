// From layers to points, from points to records.
#include "cli/jobs/TuneJobs.h"

#include <filesystem>
#include <set>

#include "autotune/Candidates.h"
#include "cli/bench/CudaMeasurer.h"

namespace gptqc::cli {
namespace {

/// The records so far; none when the file is not there yet.
Result<Records> readRecords(const std::string &path) {
  if (!std::filesystem::exists(path))
    return Records();
  return Records::load(path);
}

Status checkSettings(const TuneSettings &settings) {
  if (settings.records.empty())
    return invalidArgument("tune: name a file for the records");
  if (settings.shard < 0 || settings.shard >= settings.shards)
    return invalidArgument("tune: shard {} of {}: they count from 0", settings.shard,
                           settings.shards);
  if (settings.tuner.candidates < 1 || !(settings.tuner.secondsPerPoint >= 0) ||
      !(settings.tuner.budgetSeconds >= 0))
    return invalidArgument("tune: {} candidates, {} s a point, a budget of {} s; use at least one "
                           "candidate and no negative time",
                           settings.tuner.candidates, settings.tuner.secondsPerPoint,
                           settings.tuner.budgetSeconds);
  return Status();
}

/// The points of the shard that `known` does not have from this GPU.
std::vector<Descriptor> pointsToTune(const TuneSettings &settings,
                                     const std::vector<Descriptor> &layers, const Target &target,
                                     const Records &known) {
  std::set<std::string> done;
  for (const TuningRecord &record : known.all())
    if (record.target == target)
      done.insert(record.descriptor.print());
  std::vector<Descriptor> points;
  const std::vector<KernelJob> jobs = bucketJobs(layers, {target}, settings.tokens);
  for (size_t i = size_t(settings.shard); i < jobs.size(); i += size_t(settings.shards)) {
    const Descriptor point = jobs[i].descriptor.canonical();
    if (!done.contains(point.print()))
      points.push_back(point);
  }
  return points;
}

Result<std::unique_ptr<Compiler>> openCompiler(const RunnerOptions &runner) {
  CompilerOptions options;
  options.nvrtcPath = runner.nvrtcPath;
  options.cacheDir = runner.cacheDir;
  options.useCache = false; // losers would push the kernels that are in use out
  return Compiler::create(options);
}

} // namespace

Status TuneSummary::verdict() const {
  return failed == 0 ? Status()
                     : firstError.withContext(fmt::format("tune: {} of {} points had errors, "
                                                          "the first",
                                                          failed, tuned));
}

Result<TuneSummary> tuneJobs(const TuneSettings &settings, const TuneProgress &progress) {
  GPTQC_TRY(checkSettings(settings));
  GPTQC_ASSIGN(const std::vector<Descriptor> layers, layersOf(settings.layers));
  GPTQC_ASSIGN(const Records known, readRecords(settings.records));
  GPTQC_ASSIGN(const std::unique_ptr<CudaMeasurer> measurer,
               CudaMeasurer::create(settings.runner, settings.seed));
  GPTQC_TRY(appendRecords(settings.records, {})); // now rather than after the first point
  const Target &target = measurer->target();
  const std::vector<Descriptor> points =
      pointsToTune(settings, layers, target, settings.again ? Records() : known);
  TuneSummary summary;
  summary.points = int64_t(points.size());
  progress.begin(measurer->cuda().describe(), summary.points);
  if (points.empty())
    return summary;
  GPTQC_ASSIGN(const std::unique_ptr<Compiler> compiler, openCompiler(settings.runner));

  TunerOptions options = settings.tuner;
  options.threads = settings.runner.threads;
  options.build = Compiler::buildId();
  options.hints = [&](const Descriptor &point) {
    const TuningRecord *near = nearestLegal(known, point, target);
    return near ? std::vector<Schedule>{near->schedule} : std::vector<Schedule>();
  };
  const auto compile = [&](const Descriptor &point, const Schedule &schedule) {
    return compiler->compileLinear(point, target, schedule);
  };
  const auto report = [&](const TunedPoint &point) -> Status {
    GPTQC_TRY(appendRecords(settings.records, point.records));
    if (!point.error.ok() && summary.failed++ == 0)
      summary.firstError = point.error;
    progress.point(point);
    return Status();
  };
  GPTQC_ASSIGN(const size_t tuned, Tuner(*measurer, compile, options).run(points, report));
  summary.tuned = int64_t(tuned);
  return summary;
}

} // namespace gptqc::cli
