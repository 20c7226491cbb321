// gptqc-sim: runs kernels of shared objects (compile.sh makes them of gptqc-sim-emit's sources),
// and reports access sites or tests mutants.
#include <chrono>
#include <dlfcn.h>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "tests/sim/CaseTable.h"
#include "tests/sim/MutationRun.h"
#include "tests/sim/Sites.h"

namespace gptqc::sim {

namespace {

struct Options {
  std::vector<std::string> objects;
  std::string filter;
  bool sites = false;
  MutationOptions mutation;
};

/// Returns the number of failed runs.
size_t runCases(const Options &options) {
  const auto start = std::chrono::steady_clock::now();
  size_t kernels = 0, runs = 0, failures = 0;
  uint64_t accesses = 0, threads = 0;
  for (const Case &entry : caseTable()) {
    const std::string line = entry.line(entry.tokens[0], entry.seed);
    if (line.find(options.filter) == std::string::npos)
      continue;
    ++kernels;
    std::vector<uint64_t> seeds = {entry.seed};
    if (entry.seed == 0)
      seeds = {1, 2, 3, 4};
    if (options.sites) {
      seeds.resize(1);
      sitesStart();
    }
    for (int64_t m : entry.tokens)
      for (uint64_t seed : seeds) {
        const Report report = runCase(entry.kernels, entry.launch, entry.descriptor, m, seed);
        ++runs;
        accesses += report.counters.accesses;
        threads += report.counters.threads;
        if (report.clean())
          continue;
        ++failures;
        fmt::print("FAILED: {}\n{}", entry.line(m, seed), report.text());
      }
    if (options.sites)
      fmt::print("{}\n{}\n", line, sitesReport());
  }
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  fmt::print("sim: {} kernels, {} runs, {} failed, {} threads, {} checked accesses, {:.1f} s\n",
             kernels, runs, failures, threads, accesses, time.count());
  return failures;
}

int runTool(const Options &options) {
  for (const std::string &object : options.objects)
    if (!dlopen(object.c_str(), RTLD_NOW | RTLD_LOCAL)) {
      fmt::print(stderr, "gptqc-sim: {}\n", dlerror());
      return 1;
    }
  if (options.mutation.table.empty())
    return runCases(options) == 0 ? 0 : 1;
  MutationOptions mutation = options.mutation;
  mutation.filter = options.filter;
  const Status status = runMutants(mutation);
  if (!status.ok())
    fmt::print(stderr, "gptqc-sim: {}\n", status.message());
  return status.ok() ? 0 : 1;
}

} // namespace
} // namespace gptqc::sim

int main(int argc, char **argv) {
  gptqc::sim::Options options;
  CLI::App app("Runs simulated kernels", "gptqc-sim");
  app.add_option("objects", options.objects, "shared objects with kernels")->required();
  app.add_option("--filter", options.filter, "only cases (mutants) whose line contains this");
  app.add_flag("--sites", options.sites, "bank conflicts and sectors of each access site");
  app.add_option("--mutants", options.mutation.table, "test the mutants of this table");
  app.add_option("--known", options.mutation.known, "file of explained mutants");
  app.add_option("--state", options.mutation.state, "file to continue an interrupted run from");
  app.add_option("--sample", options.mutation.sample, "so many random mutants");
  app.add_option("--seed", options.mutation.seed, "of the sample");
  app.add_option("--jobs", options.mutation.jobs, "processes at a time");
  CLI11_PARSE(app, argc, argv);
  return gptqc::sim::runTool(options);
}
