// One NVRTC program per compile; the embedded templates are its include files.
#include "compiler/jit/NvrtcCompiler.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>

#include "compiler/jit/NvrtcLibrary.h"
#include "runtime/core/Hash.h"
#include "templates/Templates.h"

namespace gptqc {
namespace {

std::vector<std::string> optionsOf(const NvrtcRequest &request) {
  std::vector<std::string> options = {"--gpu-architecture=" + request.target.arch(), "--std=c++17",
                                      "-default-device", "--ptxas-options=-v"};
  if (request.lineInfo)
    options.push_back("-lineinfo");
  options.insert(options.end(), request.options.begin(), request.options.end());
  return options;
}

/// Owns an nvrtcProgram.
class Program {
public:
  explicit Program(const NvrtcApi &api) : api(api) {}
  Program(const Program &) = delete;
  Program &operator=(const Program &) = delete;
  ~Program() {
    if (program)
      api.nvrtcDestroyProgram(&program);
  }

  int create(const NvrtcRequest &request) {
    std::vector<const char *> names, texts;
    for (const EmbeddedFile &file : embeddedTemplates()) {
      names.push_back(file.name.data());
      texts.push_back(file.text.data());
    }
    return api.nvrtcCreateProgram(&program, request.source.c_str(), request.name.c_str(),
                                  int(names.size()), texts.data(), names.data());
  }

  int compile(const std::vector<std::string> &options) {
    std::vector<const char *> pointers;
    for (const std::string &option : options)
      pointers.push_back(option.c_str());
    return api.nvrtcCompileProgram(program, int(pointers.size()), pointers.data());
  }

  /// Text that NVRTC returns with its terminating NUL; empty when there is none.
  std::string text(int (*size)(NvrtcProgram, size_t *), int (*get)(NvrtcProgram, char *)) const {
    size_t bytes = 0;
    if (size(program, &bytes) != 0 || bytes == 0)
      return {};
    std::string result(bytes, '\0');
    if (get(program, result.data()) != 0)
      return {};
    result.resize(std::min(bytes, result.find('\0')));
    return result;
  }

  std::vector<uint8_t> cubin() const {
    size_t bytes = 0;
    if (api.nvrtcGetCUBINSize(program, &bytes) != 0)
      return {};
    std::vector<uint8_t> result(bytes);
    if (bytes > 0 && api.nvrtcGetCUBIN(program, reinterpret_cast<char *>(result.data())) != 0)
      return {};
    return result;
  }

private:
  const NvrtcApi &api;
  NvrtcProgram program = nullptr;
};

/// "a.cu(3): error: x" and the like, without the compiler's trailing summary.
std::string firstErrorOf(const PtxasReport &report, const std::string &log) {
  if (!report.firstError.empty())
    return report.firstError;
  const std::string line = log.substr(0, log.find('\n'));
  return line.empty() ? "it gave no reason" : line;
}

} // namespace

struct NvrtcCompiler::State {
  NvrtcLibrary library;
  Log log;
  std::string headersDigest;
  std::once_flag digestOnce;
  /// NVRTC may keep results in a cache of its own, which gives no ptxas report: it is told not to.
  /// Versions without such a cache do not know the option either.
  mutable std::atomic<bool> knowsNoCache = true;
  std::optional<Result<std::string>> libraryDigest;

  State(NvrtcLibrary library, Log log) : library(std::move(library)), log(std::move(log)) {
    Sha256 hash;
    for (const EmbeddedFile &file : embeddedTemplates())
      hash.updateField(file.name).updateField(file.text);
    headersDigest = toHex(hash.finish());
  }

  /// Leaves the program of the last attempt in `program`; the result is NVRTC's.
  int build(const NvrtcRequest &request, std::optional<Program> &program) const {
    constexpr int kInvalidOption = 5;
    std::vector<std::string> options = optionsOf(request);
    const bool noCache = knowsNoCache;
    if (noCache)
      options.push_back("--no-cache");
    program.emplace(library.api());
    int result = program->create(request);
    if (result == 0)
      result = program->compile(options);
    if (result != kInvalidOption || !noCache)
      return result;
    options.pop_back();
    program.emplace(library.api());
    result = program->create(request);
    if (result == 0)
      result = program->compile(options);
    if (result == 0)
      knowsNoCache = false;
    return result;
  }
};

NvrtcCompiler::NvrtcCompiler(std::unique_ptr<State> state) : state(std::move(state)) {}
NvrtcCompiler::~NvrtcCompiler() = default;

Result<std::unique_ptr<NvrtcCompiler>> NvrtcCompiler::open(const NvrtcOptions &options) {
  NvrtcSearch search;
  search.path = options.path;
  search.driverMajor = options.driverMajor;
  GPTQC_ASSIGN(NvrtcLibrary library, NvrtcLibrary::open(search, options.log));
  return std::unique_ptr<NvrtcCompiler>(
      new NvrtcCompiler(std::make_unique<State>(std::move(library), options.log)));
}

std::string NvrtcCompiler::version() const {
  return fmt::format("nvrtc {}.{}", state->library.major(), state->library.minor());
}

std::string NvrtcCompiler::libraryPath() const { return state->library.file().string(); }

Result<std::string> NvrtcCompiler::buildKey(const NvrtcRequest &request) const {
  std::call_once(state->digestOnce,
                 [&] { state->libraryDigest = sha256File(state->library.file()); });
  GPTQC_ASSIGN(const std::string libraryDigest, Result<std::string>(*state->libraryDigest));
  Sha256 hash;
  hash.updateField(request.source).updateField(request.name).updateField(request.entry);
  hash.updateField(state->headersDigest).updateField(libraryDigest);
  for (const std::string &option : optionsOf(request))
    hash.updateField(option);
  return toHex(hash.finish());
}

Result<NvrtcOutput> NvrtcCompiler::compile(const NvrtcRequest &request) const {
  std::string log;
  return compile(request, log);
}

Result<NvrtcOutput> NvrtcCompiler::compile(const NvrtcRequest &request, std::string &log) const {
  const auto start = std::chrono::steady_clock::now();
  const NvrtcApi &api = state->library.api();
  const std::vector<int> &known = state->library.capabilities();
  if (std::find(known.begin(), known.end(), request.target.capability) == known.end())
    return makeError(Code::Unsupported, "{} does not compile for {}; install a newer NVRTC",
                     version(), request.target.arch());
  std::optional<Program> program;
  const int result = state->build(request, program);
  NvrtcOutput output;
  output.log = program->text(api.nvrtcGetProgramLogSize, api.nvrtcGetProgramLog);
  log = output.log;
  PtxasReport report = parsePtxasLog(output.log);
  if (result != 0)
    return makeError(Code::CompileFailed, "{} refused {} for {}: {}: {}", version(), request.name,
                     request.target.arch(), api.nvrtcGetErrorString(result),
                     firstErrorOf(report, output.log));
  output.cubin = program->cubin();
  output.ptx = program->text(api.nvrtcGetPTXSize, api.nvrtcGetPTX);
  if (output.cubin.empty())
    return makeError(Code::CompileFailed, "{} gave no cubin for {} on {}", version(), request.name,
                     request.target.arch());
  output.entries = std::move(report.entries);
  output.performanceWarnings = std::move(report.performanceWarnings);
  const std::string entry =
      request.entry.empty() && !output.entries.empty() ? output.entries[0].entry : request.entry;
  const auto usage = std::find_if(output.entries.begin(), output.entries.end(),
                                  [&](const EntryUsage &e) { return e.entry == entry; });
  if (usage == output.entries.end())
    return makeError(Code::CompileFailed, "{}: no kernel '{}' in the compiled code", request.name,
                     entry);
  output.resources = usage->usage;
  output.milliseconds =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  state->log.event(
      Topic::Compile, "{} for {}: {:.0f} ms, {} registers, {} B shared, {} B spilled, {} B cubin",
      request.name, request.target.arch(), output.milliseconds, output.resources.registers,
      output.resources.staticSharedBytes, output.resources.spillStores, output.cubin.size());
  return output;
}

} // namespace gptqc
