// gptqc-sim-emit: compiles case lines to CUDA C++ and writes the sources, unchanged, into
// PREFIX<i>.cpp, each kernel with what registers it in the case table. Kernels of one architecture
// share a file, so that many of them share one compilation of the headers.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "compiler/Compiler.h"
#include "runtime/core/TextForm.h"
#include "tests/sim/CaseLine.h"

namespace gptqc::sim {

namespace {

struct Options {
  std::vector<std::string> files, lines;
  std::string prefix;
  size_t outputs = 1, random = 0;
  uint64_t seed = 1;
  bool cover = false;
};

Status readLines(std::istream &input, std::vector<CaseLine> &cases) {
  for (std::string text; std::getline(input, text);) {
    if (trim(text).empty() || text.starts_with('#'))
      continue;
    GPTQC_ASSIGN(CaseLine line, CaseLine::parse(text));
    cases.push_back(std::move(line));
  }
  return Status();
}

Result<std::vector<CaseLine>> collect(const Options &options) {
  std::vector<CaseLine> cases;
  for (const std::string &file : options.files) {
    std::ifstream input(file);
    if (!input)
      return makeError(Code::NotFound, "{}: cannot be read", file);
    GPTQC_TRY(readLines(input, cases));
  }
  for (const std::string &text : options.lines) {
    GPTQC_ASSIGN(CaseLine line, CaseLine::parse(text));
    cases.push_back(std::move(line));
  }
  const auto append = [&](const std::vector<CaseLine> &more) {
    cases.insert(cases.end(), more.begin(), more.end());
  };
  if (options.cover)
    append(coverCases(options.seed));
  append(randomCases(options.seed, options.random));
  return cases;
}

/// The source of one kernel under names of its own, and its registration.
std::string section(const CaseLine &line, const KernelSource &kernel, size_t number) {
  const LaunchFacts &facts = kernel.launch;
  std::string text = fmt::format("#define layer layer_{0}\n#define tile tile_{0}\n"
                                 "#define {1} {1}_{0}\n#define {2} {2}_{0}\n",
                                 number, facts.entry, kPermuteEntry);
  text += kernel.text;
  const auto entry = [&](std::string_view name) {
    return fmt::format("reinterpret_cast<gptqc::sim::KernelEntry>({}_{})", name, number);
  };
  text += fmt::format("#undef layer\n#undef tile\n#undef {1}\n#undef {2}\n"
                      "static const bool added_{0} = gptqc::sim::addCase(\n"
                      "    {{\"{3}\", \"{4}\", \"{5}\",\n     {{{6}, {7}}},\n",
                      number, facts.entry, kPermuteEntry, line.descriptor.print(),
                      line.target.print(), line.schedule.print(), entry(facts.entry),
                      facts.permutedK > 0 ? entry(kPermuteEntry) : "nullptr");
  text += fmt::format(
      "     gptqc::LaunchFacts{{.entry = \"{}\", .threads = {}, .sharedBytes = {}, .tileN = {}, "
      ".tileM = {}, .splitK = {},\n      .xVector = {}, .paddedN = {}, .persistent = {}, "
      ".cluster = {}, .itemTiles = {}, .itemsOverTokens = {},\n      .xBoxRows = {}, "
      ".permutedK = {}, .permuteShared = {}, .permuteThreads = {},\n      .overlaps = {}, "
      ".usesPermutation = {}, .experts = "
      "{}}},\n"
      "     {{{}}}, {}}});\n\n",
      facts.entry, facts.threads, facts.sharedBytes, facts.tileN, facts.tileM, facts.splitK,
      facts.xVector, facts.paddedN, facts.persistent, facts.cluster, facts.itemTiles,
      facts.itemsOverTokens, facts.xBoxRows, facts.permutedK, facts.permuteShared,
      facts.permuteThreads, facts.overlaps, facts.usesPermutation, facts.experts,
      fmt::join(line.tokens, ", "), line.seed);
  return text;
}

/// The device headers ask for these levels of the architecture.
int archLevel(const Target &target) {
  return target.capability >= 90 ? 900 : target.hasCpAsync() ? 800 : 750;
}

/// Gives each architecture a share of the files that fits its cases, at least one.
std::map<int, std::vector<size_t>> shareFiles(const std::vector<CaseLine> &cases, size_t files) {
  std::map<int, size_t> count;
  for (const CaseLine &line : cases)
    ++count[archLevel(line.target)];
  std::map<int, std::vector<size_t>> result;
  for (const auto &[arch, number] : count)
    result[arch];
  for (size_t file = 0; file < files; ++file) {
    auto neediest = std::max_element(count.begin(), count.end(), [&](const auto &a, const auto &b) {
      const auto load = [&](const auto &c) {
        return result[c.first].empty() ? 1e9 : double(c.second) / double(result[c.first].size());
      };
      return load(a) < load(b);
    });
    if (neediest != count.end())
      result[neediest->first].push_back(file);
  }
  return result;
}

Status emitAll(const Options &options) {
  GPTQC_ASSIGN(std::unique_ptr<Compiler> compiler, Compiler::create({}));
  GPTQC_ASSIGN(const std::vector<CaseLine> cases, collect(options));
  const std::map<int, std::vector<size_t>> files = shareFiles(cases, options.outputs);
  if (files.size() > options.outputs)
    return invalidArgument("the cases are of {} architectures: --outputs {} at least", files.size(),
                           files.size());
  std::vector<std::string> sources(options.outputs);
  std::vector<int> archs(options.outputs, 800);
  std::map<int, size_t> turn;
  for (const auto &[arch, list] : files)
    for (size_t file : list)
      archs[file] = arch;
  for (size_t number = 0; number < cases.size(); ++number) {
    const CaseLine &line = cases[number];
    GPTQC_ASSIGN(const KernelSource kernel,
                 compiler->emitKernel(line.descriptor, line.target, line.schedule));
    const std::vector<size_t> &mine = files.at(archLevel(line.target));
    sources[mine[turn[archLevel(line.target)]++ % mine.size()]] += section(line, kernel, number);
  }
  for (size_t i = 0; i < sources.size(); ++i) {
    std::ofstream output(fmt::format("{}{}.cpp", options.prefix, i));
    output << fmt::format("#define GPTQC_SIM_ARCH {}\n", archs[i])
           << "#include \"tests/sim/CaseTable.h\"\n#include \"tests/sim/host/cuda_host.h\"\n"
           << "#include \"gptqc/all.cuh\"\n\n"
           << sources[i];
    if (!output.flush())
      return makeError(Code::IoError, "{}{}.cpp: cannot be written", options.prefix, i);
  }
  return Status();
}

} // namespace
} // namespace gptqc::sim

int main(int argc, char **argv) {
  gptqc::sim::Options options;
  CLI::App app("Kernels of simulated cases as sources for the host compiler", "gptqc-sim-emit");
  app.add_option("files", options.files, "files of case lines");
  app.add_option("--line", options.lines, "a case line (repeatable)");
  app.add_flag("--cover", options.cover, "the pairwise cover of the case space");
  app.add_option("--random", options.random, "so many random cases");
  app.add_option("--seed", options.seed, "of cover and random cases");
  app.add_option("--outputs", options.outputs, "number of source files");
  app.add_option("--prefix", options.prefix, "of the source files' names")->required();
  CLI11_PARSE(app, argc, argv);
  const gptqc::Status status = gptqc::sim::emitAll(options);
  if (!status.ok())
    fmt::print(stderr, "gptqc-sim-emit: {}\n", status.message());
  return status.ok() ? 0 : 1;
}
