// gptqc-sim-emit CASES OUT_PREFIX FILES: compiles every line of CASES to CUDA C++ and writes the
// sources, unchanged, into OUT_PREFIX<i>.cpp (i < FILES), each with what registers it in the case
// table. Kernels of one architecture share a file, so that many of them share one compilation of
// the headers.
#include <cstdio>
#include <fstream>
#include <map>

#include <fmt/format.h>

#include "compiler/Compiler.h"
#include "runtime/core/TextForm.h"

namespace gptqc {

namespace {

struct Line {
  Descriptor descriptor;
  Target target;
  Schedule schedule;
  std::string tokens;
};

Result<Line> parseLine(std::string_view text) {
  const std::vector<std::string_view> fields = splitAt(text, '|');
  if (fields.size() != 4)
    return invalidArgument("'{}': expected descriptor | target | schedule | token counts", text);
  Line line;
  GPTQC_ASSIGN(line.descriptor, Descriptor::parse(trim(fields[0])));
  GPTQC_ASSIGN(line.target, Target::parse(trim(fields[1])));
  if (trim(fields[2]) == "default") {
    GPTQC_ASSIGN(line.schedule, Compiler::defaultSchedule(line.descriptor, line.target));
  } else {
    GPTQC_ASSIGN(line.schedule, Schedule::parse(trim(fields[2])));
  }
  line.tokens = trim(fields[3]);
  return line;
}

/// The source of one kernel under names of its own, and its registration.
std::string section(const Line &line, const KernelSource &kernel, int number) {
  const LaunchFacts &facts = kernel.launch;
  std::string text = fmt::format("#define layer layer_{0}\n#define tile tile_{0}\n"
                                 "#define {1} {1}_{0}\n",
                                 number, facts.entry);
  text += kernel.text;
  text += fmt::format(
      "#undef layer\n#undef tile\nstatic const bool added_{0} = gptqc::sim::addCase(\n"
      "    {{\"{1}\", \"{2}\", \"{3}\",\n"
      "     reinterpret_cast<gptqc::sim::KernelEntry>({4}),\n",
      number, line.descriptor.print(), line.target.print(), line.schedule.print(), facts.entry);
  text += fmt::format(
      "     {{\"{}\", {}, {}, {}, {}, {}, {}, {}, {}, {}, {}}},\n     {{{}}}}});\n#undef {}\n\n",
      facts.entry, facts.threads, facts.sharedBytes, facts.tileN, facts.tileM, facts.splitK,
      facts.xVector, facts.paddedN, facts.persistent, facts.cluster, facts.usesPermutation,
      line.tokens, facts.entry);
  return text;
}

Status emitAll(const char *casesPath, const std::string &prefix, size_t files) {
  std::ifstream input(casesPath);
  if (!input)
    return makeError(Code::NotFound, "{}: cannot be read", casesPath);
  GPTQC_ASSIGN(std::unique_ptr<Compiler> compiler, Compiler::create({}));
  std::vector<std::string> sources(files);
  std::vector<int> archOfFile(files, 0);
  std::map<int, std::vector<size_t>> filesOfArch;
  std::map<int, size_t> turn;
  int number = 0;
  size_t fresh = 0;
  for (std::string text; std::getline(input, text);) {
    if (trim(text).empty() || text.starts_with('#'))
      continue;
    GPTQC_ASSIGN(const Line line, parseLine(text));
    GPTQC_ASSIGN(const KernelSource kernel,
                 compiler->emitKernel(line.descriptor, line.target, line.schedule));
    // The device headers ask only whether cp.async and bf16 exist: two variants.
    const int arch = line.target.hasCpAsync() ? 800 : 750;
    std::vector<size_t> &mine = filesOfArch[arch];
    const size_t share = arch == 750 ? 1 : files - 1;
    if (mine.size() < share)
      mine.push_back(fresh++);
    const size_t file = mine[turn[arch]++ % mine.size()];
    archOfFile[file] = arch;
    sources[file] += section(line, kernel, number++);
  }
  for (size_t i = 0; i < files; ++i) {
    std::ofstream output(fmt::format("{}{}.cpp", prefix, i));
    output << fmt::format("#define GPTQC_SIM_ARCH {}\n", archOfFile[i] ? archOfFile[i] : 800)
           << "#include \"tests/sim/CaseTable.h\"\n#include \"tests/sim/host/cuda_host.h\"\n"
           << "#include \"gptqc/all.cuh\"\n\n"
           << sources[i];
    if (!output.flush())
      return makeError(Code::IoError, "{}{}.cpp: cannot be written", prefix, i);
  }
  return Status();
}

} // namespace
} // namespace gptqc

int main(int argc, char **argv) {
  if (argc != 4) {
    fmt::print(stderr, "usage: gptqc-sim-emit CASES OUT_PREFIX FILES\n");
    return 2;
  }
  const gptqc::Status status = gptqc::emitAll(argv[1], argv[2], size_t(std::atoi(argv[3])));
  if (!status.ok())
    fmt::print(stderr, "gptqc-sim-emit: {}\n", status.message());
  return status.ok() ? 0 : 1;
}
