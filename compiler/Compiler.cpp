// Runs the stages in order and turns diagnostics into one Status; owns the NVRTC compiler and the
// cache.
#include "compiler/Compiler.h"

#include <mutex>

#include "mlir/IR/Diagnostics.h"
#include "mlir/Pass/PassManager.h"

#include "compiler/emit/EmitCuda.h"
#include "compiler/frontend/DescriptorToGptq.h"
#include "compiler/jit/NvrtcCompiler.h"
#include "compiler/passes/Passes.h"
#include "compiler/schedule/CostModel.h"
#include "dialect/gptq/Gptq.h"
#include "runtime/core/DiskCache.h"
#include "runtime/core/SingleFlight.h"
#include "runtime/core/Version.h"
#include "templates/Templates.h"

namespace gptqc {

namespace {

using Module = mlir::OwningOpRef<mlir::ModuleOp>;

/// A context for one call: no threads of its own, and its diagnostics end up in a Status.
class Session {
public:
  Session() : context(mlir::MLIRContext::Threading::DISABLED) {
    context.getDiagEngine().registerHandler([this](mlir::Diagnostic &diagnostic) {
      if (firstError.empty() && diagnostic.getSeverity() == mlir::DiagnosticSeverity::Error)
        firstError = diagnostic.str();
    });
  }

  Module layer(const Descriptor &descriptor, const Target &target,
               const std::optional<Schedule> &schedule) {
    return descriptorToGptq(context, descriptor, target, schedule);
  }

  Status run(mlir::ModuleOp module, void (*build)(mlir::OpPassManager &)) {
    mlir::PassManager manager(&context);
    build(manager);
    if (llvm::succeeded(manager.run(module)))
      return Status();
    return makeError(Code::Internal, "lowering failed: {}", firstError);
  }

private:
  mlir::MLIRContext context;
  std::string firstError;
};

std::string printed(mlir::ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream);
  return text + "\n";
}

/// What was emitted, with the text forms after canonicalization.
struct Lowered {
  EmittedKernel kernel;
  std::string descriptor, schedule;
};

Result<Lowered> lowerToCuda(const Descriptor &descriptor, const Target &target,
                            const std::optional<Schedule> &schedule) {
  Session session;
  Module module = session.layer(descriptor, target, schedule);
  GPTQC_TRY(session.run(*module, buildSchedulePipeline));
  GPTQC_TRY(session.run(*module, buildTilePipeline));
  tile::KernelOp kernel = *module->getOps<tile::KernelOp>().begin();
  return Lowered{emitCuda(kernel), kernel.getDescriptor().getText().str(),
                 kernel.getSchedule().getText().str()};
}

Status checkRequest(const Descriptor &descriptor, const Target &target,
                    const std::optional<Schedule> &schedule) {
  if (schedule)
    return ScheduleSpace::check(descriptor, target, *schedule);
  return descriptor.validate();
}

/// What a default schedule must not do.
Status refuseSpills(const KernelImage &image, const std::vector<std::string> &warnings) {
  const int64_t spilled = image.resources.spillStores + image.resources.spillLoads;
  if (spilled == 0 && warnings.empty())
    return Status();
  return makeError(Code::CompileFailed,
                   "kernel '{}' for {}: the default schedule '{}' {}; pass another schedule",
                   image.descriptor, image.target, image.schedule,
                   spilled ? fmt::format("spills {} bytes", spilled) : warnings.front());
}

} // namespace

Result<Stage> parseStage(std::string_view text) {
  constexpr std::pair<std::string_view, Stage> kStages[] = {{"gptq", Stage::Gptq},
                                                            {"tile", Stage::Tile},
                                                            {"cuda", Stage::Cuda},
                                                            {"ptx", Stage::Ptx},
                                                            {"report", Stage::Report}};
  for (const auto &[name, stage] : kStages)
    if (name == text)
      return stage;
  return invalidArgument("stage '{}': use gptq, tile, cuda, ptx or report", text);
}

/// The text without the comment that it opens with, which names the range of M.
std::string codeOf(std::string_view source) {
  const bool comment = source.starts_with("//");
  return std::string(comment ? source.substr(std::min(source.find('\n'), source.size())) : source);
}

constexpr size_t kKeptOutputs = 32; // some MB

struct Compiler::State {
  CompilerOptions options;
  Log log;
  std::optional<DiskCache> cache;
  std::mutex mutex; ///< guards nvrtc, which is opened once
  std::unique_ptr<NvrtcCompiler> nvrtc;
  SingleFlight<NvrtcOutput> outputs{kKeptOutputs}; ///< kernels that differ in M alone share them

  /// Opens NVRTC on first use; a failure is tried again by the next call.
  Result<NvrtcCompiler *> jit() {
    std::lock_guard lock(mutex);
    if (!nvrtc) {
      NvrtcOptions open;
      open.path = options.nvrtcPath;
      open.log = log;
      GPTQC_ASSIGN(nvrtc, NvrtcCompiler::open(open));
    }
    return nvrtc.get();
  }

  /// By NVRTC, once for all sources of one code that are asked for at about the same time.
  Result<std::shared_ptr<const NvrtcOutput>> compileCode(const NvrtcCompiler &compiler,
                                                         const NvrtcRequest &source);

  /// What a call without a schedule uses, before the cost model is asked.
  std::optional<Schedule> tuned(const Descriptor &descriptor, const Target &target,
                                const std::optional<Schedule> &schedule) const;

  /// A linear kernel's cubin, where an earlier run of this very build has made it.
  std::optional<KernelImage> cachedLinear(const KernelRequest &request) const;

  Result<KernelImage> compile(const NvrtcRequest &source, const KernelRequest &request,
                              KernelImage image, bool mustNotSpill, CodeKind kind);
};

std::optional<Schedule> Compiler::State::tuned(const Descriptor &descriptor, const Target &target,
                                               const std::optional<Schedule> &schedule) const {
  if (schedule || !options.tuned || !descriptor.validate().ok())
    return schedule;
  std::optional<Schedule> found = options.tuned(descriptor.canonical(), target);
  if (!found)
    return std::nullopt;
  const Status legal = ScheduleSpace::check(descriptor, target, *found);
  if (legal.ok())
    return found;
  log.warning("tuning record of '{}' is stale: {}", descriptor.print(), legal.message());
  return std::nullopt;
}

Result<std::shared_ptr<const NvrtcOutput>>
Compiler::State::compileCode(const NvrtcCompiler &compiler, const NvrtcRequest &source) {
  NvrtcRequest code = source;
  code.source = codeOf(source.source);
  GPTQC_ASSIGN(const std::string key, compiler.buildKey(code));
  return outputs.get(key, [&] { return compiler.compile(source); });
}

std::optional<KernelImage> Compiler::State::cachedLinear(const KernelRequest &request) const {
  if (!cache || !versionIdentifiesBuild())
    return std::nullopt;
  return cache->findRequest(request);
}

std::string Compiler::buildId() { return versionBuildId(); }

/// Looks the build up, else compiles it; `image` has everything but resources, cubin and keys.
Result<KernelImage> Compiler::State::compile(const NvrtcRequest &source,
                                             const KernelRequest &request, KernelImage image,
                                             bool mustNotSpill, CodeKind kind) {
  if (kind == CodeKind::Ptx && source.target.archSpecific)
    return makeError(Code::Unsupported, "PTX for {} runs on no other GPU; compile for sm_{}",
                     source.target.arch(), source.target.capability);
  GPTQC_ASSIGN(NvrtcCompiler * compiler, jit());
  GPTQC_ASSIGN(image.buildKey, compiler->buildKey(source));
  const bool cached = cache && kind == CodeKind::Cubin;
  if (cached) {
    if (std::optional<KernelImage> found = cache->findBuild(image.buildKey)) {
      if (mustNotSpill)
        GPTQC_TRY(refuseSpills(*found, {}));
      log.event(Topic::Cache, "hit {}", request.print());
      GPTQC_TRY(cache->store(request, *found)); // the request is new, its build is not
      return *found;
    }
    log.event(Topic::Cache, "miss {}", request.print());
  }
  const Result<std::shared_ptr<const NvrtcOutput>> made = compileCode(*compiler, source);
  if (!made.ok())
    return made.status().withContext(request.descriptor);
  const NvrtcOutput *output = made->get();
  log.event(Topic::Compile, "{} in {:.0f} ms: {} registers, {} bytes spilled", request.print(),
            output->milliseconds, output->resources.registers, output->resources.spillStores);
  image.resources = output->resources;
  image.cubin = output->cubin;
  if (kind == CodeKind::Ptx) {
    image.cubin.assign(output->ptx.begin(), output->ptx.end());
    if (image.cubin.empty() || image.cubin.back() != 0)
      image.cubin.push_back(0);
  }
  image.compiler = compiler->version();
  if (mustNotSpill)
    GPTQC_TRY(refuseSpills(image, output->performanceWarnings));
  if (cached)
    GPTQC_TRY(cache->store(request, image));
  return image;
}

Compiler::Compiler(std::unique_ptr<State> owned) : state(std::move(owned)) {}
Compiler::~Compiler() = default;

Result<std::unique_ptr<Compiler>> Compiler::create(const CompilerOptions &options) {
  auto state = std::make_unique<State>();
  state->options = options;
  state->log = Log::fromEnvironment();
  if (options.useCache) {
    Result<CacheOptions> folders = CacheOptions::fromEnvironment(options.cacheDir);
    if (folders.ok())
      state->cache.emplace(*folders, state->log);
    else if (folders.status().code() == Code::NotFound)
      state->log.warning("kernels are not cached: {}", folders.status().message());
    else
      return folders.status();
  }
  return std::unique_ptr<Compiler>(new Compiler(std::move(state)));
}

Result<Schedule> Compiler::defaultSchedule(const Descriptor &descriptor, const Target &target) {
  return CostModel::choose(descriptor.canonical(), target);
}

namespace {

KernelRequest linearRequest(const Descriptor &descriptor, const Target &target,
                            const std::optional<Schedule> &schedule) {
  return KernelRequest::linear(descriptor, target, schedule ? schedule->print() : "",
                               Compiler::buildId());
}

NvrtcRequest sourceRequest(const EmittedKernel &kernel, const Target &target) {
  NvrtcRequest request;
  request.source = kernel.source;
  request.name = kernel.launch.entry + ".cu";
  request.entry = kernel.launch.entry;
  request.target = target;
  return request;
}

std::string describeGrid(const LaunchFacts &launch) {
  const std::string rows =
      fmt::format("ceil({} / {})", launch.paddedN, launch.tileN * launch.itemTiles);
  const std::string tokens = launch.experts > 1
                                 ? fmt::format("floor((M + min(M, {}) * {}) / {})", launch.experts,
                                               launch.tileM - 1, launch.tileM)
                                 : fmt::format("ceil(M / {})", launch.tileM);
  std::string items = launch.itemsOverTokens ? fmt::format("{} * {}", rows, tokens) : rows;
  if (launch.cluster > 1)
    items += fmt::format(" clusters of {}", launch.cluster);
  if (launch.persistent)
    items += " or as many as are resident";
  return launch.itemsOverTokens ? items : fmt::format("{} x {} x {}", items, tokens, launch.splitK);
}

std::string report(const Lowered &lowered, const Target &target, const NvrtcOutput &output) {
  const LaunchFacts &launch = lowered.kernel.launch;
  const ResourceUsage &used = output.resources;
  return fmt::format(
      "descriptor      {}\ntarget          {}\nschedule        {}\n"
      "threads         {}\nregisters       {}\nshared memory   {} dynamic, {} static\n"
      "spills          {} stored, {} loaded\nstack           {}\n"
      "grid            {}\n"
      "X alignment     {} bytes\ncubin           {} bytes\n",
      lowered.descriptor, target.print(), lowered.schedule, launch.threads, used.registers,
      launch.sharedBytes, used.staticSharedBytes, used.spillStores, used.spillLoads,
      used.stackBytes, describeGrid(launch), launch.xVector, output.cubin.size());
}

} // namespace

Result<std::string> Compiler::emit(const Descriptor &descriptor, const Target &target,
                                   const std::optional<Schedule> &given, Stage stage) {
  const std::optional<Schedule> schedule = state->tuned(descriptor, target, given);
  GPTQC_TRY(checkRequest(descriptor, target, schedule));
  if (stage == Stage::Gptq || stage == Stage::Tile) {
    Session session;
    Module module = session.layer(descriptor, target, schedule);
    GPTQC_TRY(session.run(*module, buildSchedulePipeline));
    if (stage == Stage::Tile)
      GPTQC_TRY(session.run(*module, buildTilePipeline));
    return printed(*module);
  }
  GPTQC_ASSIGN(const Lowered lowered, lowerToCuda(descriptor, target, schedule));
  if (stage == Stage::Cuda)
    return lowered.kernel.source;
  GPTQC_ASSIGN(NvrtcCompiler * compiler, state->jit());
  GPTQC_ASSIGN(const NvrtcOutput output, compiler->compile(sourceRequest(lowered.kernel, target)));
  return stage == Stage::Ptx ? output.ptx : report(lowered, target, output);
}

Result<KernelSource> Compiler::emitKernel(const Descriptor &descriptor, const Target &target,
                                          const std::optional<Schedule> &given) {
  const std::optional<Schedule> schedule = state->tuned(descriptor, target, given);
  GPTQC_TRY(checkRequest(descriptor, target, schedule));
  GPTQC_ASSIGN(Lowered lowered, lowerToCuda(descriptor, target, schedule));
  return KernelSource{std::move(lowered.kernel.source), std::move(lowered.kernel.launch)};
}

Result<std::string> Compiler::codeKey(const Descriptor &descriptor, const Target &target,
                                      const std::optional<Schedule> &given) {
  const std::optional<Schedule> schedule = state->tuned(descriptor, target, given);
  GPTQC_TRY(checkRequest(descriptor, target, schedule));
  if (state->cachedLinear(linearRequest(descriptor, target, schedule)))
    return std::string();
  GPTQC_ASSIGN(const Lowered lowered, lowerToCuda(descriptor, target, schedule));
  return target.print() + codeOf(lowered.kernel.source);
}

Result<KernelImage> Compiler::compileLinear(const Descriptor &descriptor, const Target &target,
                                            const std::optional<Schedule> &given, CodeKind kind) {
  const std::optional<Schedule> schedule = state->tuned(descriptor, target, given);
  GPTQC_TRY(checkRequest(descriptor, target, schedule));
  const KernelRequest request = linearRequest(descriptor, target, schedule);
  if (kind == CodeKind::Cubin)
    if (std::optional<KernelImage> found = state->cachedLinear(request)) {
      state->log.event(Topic::Cache, "hit {}", request.print());
      return *found;
    }
  GPTQC_ASSIGN(Lowered lowered, lowerToCuda(descriptor, target, schedule));
  KernelImage image;
  image.descriptor = lowered.descriptor;
  image.target = target.print();
  image.schedule = lowered.schedule;
  image.launch = lowered.kernel.launch;
  return state->compile(sourceRequest(lowered.kernel, target), request, std::move(image),
                        /*mustNotSpill=*/!schedule, kind);
}

Result<KernelImage> Compiler::compileSupport(std::string_view file, std::string_view entry,
                                             const Target &target,
                                             std::span<const std::string> defines, CodeKind kind) {
  const EmbeddedFile source = findTemplate(file);
  if (source.name.empty())
    return makeError(Code::NotFound, "support kernel '{}': no such file in templates/", file);
  NvrtcRequest nvrtc;
  nvrtc.source = source.text;
  nvrtc.name = std::string(file);
  nvrtc.entry = std::string(entry);
  nvrtc.target = target;
  KernelRequest request;
  request.descriptor = fmt::format("{}:{}", file, entry);
  for (const std::string &define : defines) {
    nvrtc.options.push_back("-D" + define);
    request.descriptor += " " + define;
  }
  request.target = target.arch();
  request.compilerBuild = buildId();
  KernelImage image;
  image.descriptor = request.descriptor;
  image.target = target.print();
  image.launch.entry = std::string(entry);
  return state->compile(nvrtc, request, std::move(image), /*mustNotSpill=*/false, kind);
}

} // namespace gptqc
