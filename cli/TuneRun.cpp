// gptqc tune MODEL | --descriptor | --descriptors: measures schedules on the GPU and appends what
// it found to a file of records; gptqc tune report: the records as a page.
#include <charconv>
#include <cstdio>
#include <memory>
#include <optional>
#include <tuple>

#include "cli/Commands.h"
#include "cli/KernelJobs.h"
#include "cli/Progress.h"
#include "cli/bench/TuneReport.h"
#include "cli/check/DescriptorFile.h"
#include "cli/jobs/TuneJobs.h"
#include "runtime/core/AtomicFile.h"
#include "runtime/core/Log.h"

namespace gptqc::cli {
namespace {

struct TuneRunArguments {
  TuneSettings settings;
  std::string tokens, shard = "0/1";
};

struct ReportArguments {
  std::string records, output;
};

/// "i/n", i counted from 0.
Result<std::pair<int64_t, int64_t>> parseShard(const std::string &text) {
  int64_t index = 0, count = 0;
  const char *end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, index);
  if (first.ec == std::errc() && first.ptr != end && *first.ptr == '/') {
    const auto second = std::from_chars(first.ptr + 1, end, count);
    if (second.ec == std::errc() && second.ptr == end && index >= 0 && index < count)
      return std::pair(index, count);
  }
  return invalidArgument("tune: --shard {}: write i/n with 0 <= i < n, e.g. 0/4", text);
}

std::string describe(const TunedPoint &point) {
  if (point.records.empty())
    return fmt::format("{}: {}", point.descriptor.print(), point.error.message());
  const TuningRecord &best = point.records.front();
  return fmt::format("{}: {:.2f} us with {}{}", point.descriptor.print(), best.microseconds,
                     best.schedule.print(),
                     point.gain() > 0 ? fmt::format(" ({:.2f} x the default)", point.gain()) : "");
}

Status tune(const TuneRunArguments &arguments) {
  TuneSettings settings = arguments.settings;
  GPTQC_ASSIGN(std::tie(settings.shard, settings.shards), parseShard(arguments.shard));
  if (!arguments.tokens.empty()) {
    GPTQC_ASSIGN(settings.tokens, parseTokenCounts(arguments.tokens));
  }
  std::optional<Progress> progress;
  TuneProgress events;
  events.begin = [&](const std::string &device, int64_t points) {
    fmt::print("{}\n", device);
    if (points > 0)
      progress.emplace("tune", points);
  };
  events.point = [&](const TunedPoint &point) {
    progress->line(describe(point));
    progress->step(point.descriptor.print());
  };
  GPTQC_ASSIGN(const TuneSummary summary, tuneJobs(settings, events));
  progress.reset();
  if (summary.points == 0)
    fmt::print("nothing to do: {} has records of every point (--again measures them again)\n",
               settings.records);
  else if (summary.tuned < summary.points)
    fmt::print("the budget is spent: {} of {} points are in {}; run the same command to go on\n",
               summary.tuned, summary.points, settings.records);
  return summary.verdict();
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
  auto arguments = std::make_shared<TuneRunArguments>();
  TuneRunArguments &a = *arguments;
  TuneSettings &s = a.settings;
  addLayerSource(command, s.layers);
  command.get_option_group("layers")->require_option(0, 1); // subcommands have none
  const CLI::AsNumberWithUnit seconds(
      std::map<std::string, double>{{"ms", 1e-3}, {"s", 1}, {"min", 60}, {"h", 3600}},
      CLI::AsNumberWithUnit::CASE_SENSITIVE);
  command.add_option("--records", s.records,
                     "File of records to add to, point by point; points in it are skipped");
  command.add_option("--m", a.tokens, "Tune the M buckets of these token counts; default: all");
  command
      .add_option("--budget", s.tuner.budgetSeconds, "Begin no point after this time, e.g. 10min")
      ->transform(seconds);
  command.add_option("--per-kernel", s.tuner.secondsPerPoint, "Measuring time of a point, e.g. 2s")
      ->transform(seconds)
      ->capture_default_str();
  command.add_option("--candidates", s.tuner.candidates, "Schedules that are measured for a point")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command.add_option("--shard", a.shard, "Tune every n-th point only: i/n, i from 0")
      ->capture_default_str();
  command.add_flag("--again", s.again, "Measure points that have records too");
  command.add_option("--threads", s.runner.threads, "Threads that compile; default: one per core")
      ->check(CLI::Range(0, 4096));
  command.add_option("--nvrtc", s.runner.nvrtcPath, "libnvrtc to use");
  command.add_option("--cache", s.runner.cacheDir,
                     "Folder of the kernel cache, for the support kernels");
  command.add_option("--seed", s.seed, "Seed of weights and activations")->capture_default_str();
  command.callback([arguments, &command, &outcome] {
    if (!command.get_subcommands().empty())
      return;
    const LayerSource &layers = arguments->settings.layers;
    if (layers.model.empty() && layers.descriptors.empty() && layers.descriptorFile.empty())
      throw CLI::RequiredError("tune: MODEL, --descriptor, --descriptors, merge, report or check");
    if (arguments->settings.records.empty())
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
