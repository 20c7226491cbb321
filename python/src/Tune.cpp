// Tuning on the GPU.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "cli/jobs/TuneJobs.h"
#include "python/src/Bindings.h"
#include "python/src/Support.h"

namespace gptqc::python {
namespace {

cli::TuneSettings tuneSettingsFrom(const nb::dict &given) {
  cli::TuneSettings settings;
  const auto cache = nb::cast<std::optional<std::string>>(given["cache"]);
  settings.layers.model = nb::cast<std::string>(given["model"]);
  settings.layers.descriptors = nb::cast<std::vector<std::string>>(given["descriptors"]);
  settings.layers.fused = nb::cast<bool>(given["fused"]);
  settings.tokens = nb::cast<std::vector<int64_t>>(given["tokens"]);
  settings.records = nb::cast<std::string>(given["records"]);
  settings.shard = nb::cast<int64_t>(given["shard"]);
  settings.shards = nb::cast<int64_t>(given["shards"]);
  settings.tuner.budgetSeconds = nb::cast<double>(given["budget"]);
  settings.tuner.secondsPerPoint = nb::cast<double>(given["per_kernel"]);
  settings.tuner.candidates = nb::cast<int>(given["candidates"]);
  settings.runner.nvrtcPath = nb::cast<std::string>(given["nvrtc"]);
  settings.runner.cacheDir = cache.value_or("");
  settings.runner.useCache = !cache || !cache->empty();
  settings.runner.threads = nb::cast<int>(given["threads"]);
  settings.seed = nb::cast<uint64_t>(given["seed"]);
  settings.again = nb::cast<bool>(given["again"]);
  return settings;
}

nb::dict factsOf(const TunedPoint &point) {
  const TuningRecord &best = point.records.front();
  nb::dict facts;
  facts["descriptor"] = point.descriptor.print();
  facts["schedule"] = best.schedule.print();
  facts["microseconds"] = best.microseconds;
  facts["default_schedule"] = point.defaultSchedule.print();
  facts["gain"] = point.gain();
  facts["measured"] = point.records.size();
  facts["refused"] = point.refused.size();
  return facts;
}

nb::tuple tune(const nb::dict &given, nb::object progress) {
  const cli::TuneSettings settings = tuneSettingsFrom(given);
  Callback callback(std::move(progress));
  std::vector<TunedPoint> points;
  int64_t total = 0, done = 0;
  cli::TuneProgress events;
  events.begin = [&](const std::string &, int64_t count) { total = count; };
  events.point = [&](const TunedPoint &point) {
    if (!point.records.empty())
      points.push_back(point);
    callback(++done, total, point.descriptor.print());
  };
  const cli::TuneSummary summary = take(unlocked([&] { return cli::tuneJobs(settings, events); }));
  check(summary.verdict());
  nb::list tuned;
  for (const TunedPoint &point : points)
    tuned.append(factsOf(point));
  return nb::make_tuple(tuned, summary.points - summary.tuned);
}

} // namespace

void bindTune(nb::module_ &module) {
  module.def("tune", tune, nb::arg("settings"), nb::arg("progress").none());
}

} // namespace gptqc::python
