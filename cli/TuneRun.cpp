// gptqc tune MODEL | --descriptor | --descriptors: measures schedules on the GPU and appends what
// it found to a file of records; gptqc tune report: the records as a page.
#include <charconv>
#include <cstdio>
#include <memory>
#include <set>

#include "autotune/Tuner.h"
#include "cli/Commands.h"
#include "cli/KernelJobs.h"
#include "cli/Progress.h"
#include "cli/bench/CudaMeasurer.h"
#include "cli/bench/TuneReport.h"
#include "cli/check/DescriptorFile.h"
#include "compiler/schedule/ScheduleSpace.h"
#include "runtime/core/AtomicFile.h"
#include "runtime/core/Log.h"

namespace gptqc::cli {
namespace {

struct Arguments {
  LayerSource layers;
  std::string records, tokens, shard = "0/1", nvrtc, cache;
  double budgetSeconds = 0, secondsPerPoint = 2;
  int candidates = 24, threads = 0;
  uint64_t seed = 1;
  bool again = false;
};

struct ReportArguments {
  std::string records, output;
};

/// "i/n", i counted from 0.
Result<std::pair<size_t, size_t>> parseShard(const std::string &text) {
  size_t index = 0, count = 0;
  const char *end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, index);
  if (first.ec == std::errc() && first.ptr != end && *first.ptr == '/') {
    const auto second = std::from_chars(first.ptr + 1, end, count);
    if (second.ec == std::errc() && second.ptr == end && index < count)
      return std::pair(index, count);
  }
  return invalidArgument("tune: --shard {}: write i/n with 0 <= i < n, e.g. 0/4", text);
}

/// The records so far; none when the file is not there yet.
Result<Records> readRecords(const std::string &path) {
  if (!std::filesystem::exists(path))
    return Records();
  return Records::load(path);
}

/// What the command line asks for, on any GPU.
struct Work {
  std::pair<size_t, size_t> shard;
  std::vector<Descriptor> layers;
  std::vector<int64_t> tokens;

  static Result<Work> of(const Arguments &arguments) {
    Work work;
    GPTQC_ASSIGN(work.shard, parseShard(arguments.shard));
    GPTQC_ASSIGN(work.layers, layersOf(arguments.layers));
    if (!arguments.tokens.empty()) {
      GPTQC_ASSIGN(work.tokens, parseTokenCounts(arguments.tokens));
    }
    return work;
  }
};

/// The points of this shard that `known` does not have from this GPU.
std::vector<Descriptor> pointsToTune(const Work &work, const Target &target, const Records &known) {
  std::set<std::string> done;
  for (const TuningRecord &record : known.all())
    if (record.target == target)
      done.insert(record.descriptor.print());
  std::vector<Descriptor> points;
  const std::vector<KernelJob> jobs = bucketJobs(work.layers, {target}, work.tokens);
  for (size_t i = 0; i < jobs.size(); ++i) {
    const Descriptor point = jobs[i].descriptor.canonical();
    if (i % work.shard.second == work.shard.first && !done.contains(point.print()))
      points.push_back(point);
  }
  return points;
}

std::string describe(const TunedPoint &point) {
  if (point.records.empty())
    return fmt::format("{}: {}", point.descriptor.print(), point.error.message());
  const TuningRecord &best = point.records.front();
  return fmt::format("{}: {:.2f} us with {}{}", point.descriptor.print(), best.microseconds,
                     best.schedule.print(),
                     point.gain() > 0 ? fmt::format(" ({:.2f} x the default)", point.gain()) : "");
}

Status tune(const Arguments &arguments) {
  GPTQC_ASSIGN(const Work work, Work::of(arguments));
  GPTQC_ASSIGN(const Records known, readRecords(arguments.records));
  GPTQC_TRY(appendRecords(arguments.records, {})); // now rather than after the first point
  RunnerOptions runner;
  runner.nvrtcPath = arguments.nvrtc;
  runner.cacheDir = arguments.cache;
  runner.threads = arguments.threads;
  GPTQC_ASSIGN(const std::unique_ptr<CudaMeasurer> measurer,
               CudaMeasurer::create(runner, arguments.seed));
  const Target &target = measurer->target();
  const std::vector<Descriptor> points =
      pointsToTune(work, target, arguments.again ? Records() : known);
  fmt::print("{}\n", measurer->cuda().describe());
  if (points.empty()) {
    fmt::print("nothing to do: {} has records of every point (--again measures them again)\n",
               arguments.records);
    return Status();
  }
  CompilerOptions compilerOptions;
  compilerOptions.nvrtcPath = arguments.nvrtc;
  compilerOptions.cacheDir = arguments.cache;
  compilerOptions.useCache = false; // losers would push the kernels that are in use out
  GPTQC_ASSIGN(const std::unique_ptr<Compiler> compiler, Compiler::create(compilerOptions));

  TunerOptions options;
  options.candidates = arguments.candidates;
  options.secondsPerPoint = arguments.secondsPerPoint;
  options.budgetSeconds = arguments.budgetSeconds;
  options.threads = arguments.threads;
  options.build = Compiler::buildId();
  options.hints = [&](const Descriptor &point) {
    const TuningRecord *near = known.nearest(point, target, [&](const Schedule &schedule) {
      return ScheduleSpace::check(point, target, schedule).ok();
    });
    return near ? std::vector<Schedule>{near->schedule} : std::vector<Schedule>();
  };
  const auto compile = [&](const Descriptor &point, const Schedule &schedule) {
    return compiler->compileLinear(point, target, schedule);
  };
  Progress progress("tune", int64_t(points.size()));
  int64_t failed = 0;
  Status firstError;
  const auto report = [&](const TunedPoint &point) -> Status {
    GPTQC_TRY(appendRecords(arguments.records, point.records));
    if (!point.error.ok() && failed++ == 0)
      firstError = point.error;
    progress.line(describe(point));
    progress.step(point.descriptor.print());
    return Status();
  };
  GPTQC_ASSIGN(const size_t tuned, Tuner(*measurer, compile, options).run(points, report));
  if (tuned < points.size())
    fmt::print("the budget is spent: {} of {} points are in {}; run the same command to go on\n",
               tuned, points.size(), arguments.records);
  return failed == 0 ? Status()
                     : firstError.withContext(fmt::format("tune: {} of {} points had errors, "
                                                          "the first",
                                                          failed, tuned));
}

Status report(const ReportArguments &arguments) {
  GPTQC_ASSIGN(const Records records, Records::load(arguments.records));
  if (records.torn())
    Log().warning("{}: the last line is not complete and is left out", arguments.records);
  GPTQC_TRY(writeFileAtomically(arguments.output, tuneReportHtml(records)));
  fmt::print("{} records in {}\n", records.all().size(), arguments.output);
  return Status();
}

} // namespace

void registerTuneRun(CLI::App &command, Outcome &outcome) {
  auto arguments = std::make_shared<Arguments>();
  Arguments &a = *arguments;
  addLayerSource(command, a.layers);
  command.get_option_group("layers")->require_option(0, 1); // subcommands have none
  const CLI::AsNumberWithUnit seconds(
      std::map<std::string, double>{{"ms", 1e-3}, {"s", 1}, {"min", 60}, {"h", 3600}},
      CLI::AsNumberWithUnit::CASE_SENSITIVE);
  command.add_option("--records", a.records,
                     "File of records to add to, point by point; points in it are skipped");
  command.add_option("--m", a.tokens, "Tune the M buckets of these token counts; default: all");
  command.add_option("--budget", a.budgetSeconds, "Begin no point after this time, e.g. 10min")
      ->transform(seconds);
  command.add_option("--per-kernel", a.secondsPerPoint, "Measuring time of a point, e.g. 2s")
      ->transform(seconds)
      ->capture_default_str();
  command.add_option("--candidates", a.candidates, "Schedules that are measured for a point")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command.add_option("--shard", a.shard, "Tune every n-th point only: i/n, i from 0")
      ->capture_default_str();
  command.add_flag("--again", a.again, "Measure points that have records too");
  command.add_option("--threads", a.threads, "Threads that compile; default: one per core");
  command.add_option("--nvrtc", a.nvrtc, "libnvrtc to use");
  command.add_option("--cache", a.cache, "Folder of the kernel cache, for the support kernels");
  command.add_option("--seed", a.seed, "Seed of weights and activations")->capture_default_str();
  command.callback([arguments, &command, &outcome] {
    if (!command.get_subcommands().empty())
      return;
    const LayerSource &layers = arguments->layers;
    if (layers.model.empty() && layers.descriptors.empty() && layers.descriptorFile.empty())
      throw CLI::RequiredError("tune: MODEL, --descriptor, --descriptors, merge or report");
    if (arguments->records.empty())
      throw CLI::RequiredError("tune: --records FILE");
    outcome.status = tune(*arguments);
  });

  auto reportArguments = std::make_shared<ReportArguments>();
  CLI::App *page = command.add_subcommand("report", "Records as an HTML page with a roofline plot");
  page->add_option("RECORDS", reportArguments->records, "File of records")->required();
  page->add_option("-o,--output", reportArguments->output, "File to write, e.g. report.html")
      ->required();
  page->callback([reportArguments, &outcome] { outcome.status = report(*reportArguments); });
}

} // namespace gptqc::cli
