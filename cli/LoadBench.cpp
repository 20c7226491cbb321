// gptqc load-bench: how long a model waits for its kernels: compiled from nothing, from the kernel
// cache, from a pack; and on a GPU the loading of code and the repacking of weights.
#include <algorithm>
#include <chrono>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>

#include "cli/Commands.h"
#include "cli/KernelJobs.h"
#include "cli/Progress.h"
#include "runtime/checkpoint/Checkpoint.h"
#include "runtime/core/Parallel.h"
#include "runtime/core/Statistics.h"
#include "runtime/core/Version.h"
#include "runtime/dispatch/Linear.h"
#include "runtime/pack/PackBuilder.h"

namespace gptqc::cli {
namespace {

struct LoadBenchArguments {
  LayerSource layers;
  std::string target = "sm_90a", nvrtc, tuned;
  std::vector<int64_t> tokens;
  unsigned threads = 0;
  int repeats = 5, blocks = 1;
};

/// A folder that is gone afterwards.
class ScratchFolder {
public:
  ScratchFolder() {
    std::string name =
        (std::filesystem::temp_directory_path() / "gptqc-load-bench-XXXXXX").string();
    if (::mkdtemp(name.data()))
      path = name;
  }
  ScratchFolder(const ScratchFolder &) = delete;
  ScratchFolder &operator=(const ScratchFolder &) = delete;
  ~ScratchFolder() {
    std::error_code error;
    if (!path.empty())
      std::filesystem::remove_all(path, error);
  }
  std::filesystem::path path;
};

double secondsOf(const std::function<void()> &work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void printRow(std::string_view what, double seconds, std::string_view detail) {
  fmt::print("{:<28}  {:>10}  {}\n", what,
             seconds < 1 ? fmt::format("{:.1f} ms", seconds * 1e3) : formatSeconds(seconds),
             detail);
  std::fflush(stdout);
}

/// Time until a new store has found every kernel once: the median of several.
Result<double> findAll(const std::function<Result<KernelStoreOptions>()> &open,
                       const std::vector<KernelJob> &jobs, const LoadBenchArguments &arguments) {
  std::vector<double> times;
  Status failed;
  for (int repeat = 0; repeat < arguments.repeats; ++repeat)
    times.push_back(secondsOf([&] {
      Result<KernelStoreOptions> options = open();
      if (!options.ok()) {
        failed = options.status();
        return;
      }
      const KernelStore store(std::move(*options));
      std::vector<Status> outcomes(jobs.size());
      parallelFor(
          int64_t(jobs.size()), resolveThreads(int(arguments.threads)), [&](int64_t i, int) {
            const KernelJob &job = jobs[size_t(i)];
            outcomes[size_t(i)] = store.linear(job.descriptor, job.target, INT_MAX).status();
          });
      for (const Status &outcome : outcomes)
        if (!outcome.ok())
          failed = outcome;
    }));
  GPTQC_TRY(failed);
  return median(times);
}

/// Host time of a call, microseconds: the median of batches that the launch queue holds, so that
/// the GPU never makes the host wait.
Result<double> hostMicroseconds(const Stream &stream, const std::function<Status()> &call) {
  constexpr int kBatches = 400, kCalls = 250; // 1e5 calls
  std::vector<double> times;
  for (int batch = 0; batch < kBatches; ++batch) {
    Status status;
    times.push_back(secondsOf([&] {
      for (int i = 0; i < kCalls && status.ok(); ++i)
        status = call();
    }));
    GPTQC_TRY(status);
    GPTQC_TRY(stream.synchronize());
  }
  return median(times) / kCalls * 1e6;
}

/// A layer of a descriptor without act-order: zero words and scales, which take the same time.
struct HostLayer {
  std::vector<uint32_t> words;
  LinearPart part;

  static Result<HostLayer> of(const Descriptor &d) {
    HostLayer layer;
    layer.words.resize(size_t(d.k * d.bits / 32 * d.n));
    const std::vector<uint16_t> scales(size_t(d.groupCount() * d.n));
    const std::vector<uint8_t> zeros(d.sym ? 0 : scales.size());
    LayerCodes codes;
    codes.bits = d.bits, codes.n = d.n, codes.k = d.k, codes.groupSize = d.groupSize;
    codes.act = d.act, codes.out = d.out, codes.scaleType = d.scales;
    codes.scales = scales, codes.zeros = zeros;
    GPTQC_ASSIGN(layer.part.facts, layerWithoutCodes(codes));
    layer.part.words = layer.words.data();
    return layer;
  }
};

/// What Linear::run adds to the launch of an empty kernel, with one token and the smallest layer.
Status benchDispatch(Compiler &compiler, const std::shared_ptr<Dispatcher> &dispatcher) {
  const Device &device = dispatcher->device();
  GPTQC_ASSIGN(const KernelImage image,
               compiler.compileSupport("support/empty.cu", "empty_kernel", device.target()));
  GPTQC_ASSIGN(const Module module, Module::load(device, image));
  GPTQC_ASSIGN(const Function empty, module.function("empty_kernel"));
  GPTQC_ASSIGN(const Descriptor shape, Descriptor::parse("w4 g64 sym f16->f16 n64 k64 m1.."));
  GPTQC_ASSIGN(const HostLayer plain, HostLayer::of(shape));
  GPTQC_ASSIGN(const Stream stream, Stream::create(device));
  GPTQC_ASSIGN(const auto linear, Linear::create(dispatcher, {&plain.part, 1}, {}, false, stream));
  GPTQC_TRY(linear->prepare(1, 1));
  GPTQC_ASSIGN(const int64_t bytes, linear->workspaceBytes(1, true));
  GPTQC_ASSIGN(const DeviceBuffer workspace, DeviceBuffer::allocateZeroed(device, bytes));
  GPTQC_ASSIGN(const DeviceBuffer data, DeviceBuffer::allocateZeroed(device, 4096));
  const CuDevicePtr x = data.address(), y = x + 2048;
  const int unused = 0;
  GPTQC_ASSIGN(const double bare,
               hostMicroseconds(stream, [&] { return empty.launch({}, 32, &unused, stream); }));
  GPTQC_ASSIGN(const double dispatched, hostMicroseconds(stream, [&] {
                 const Stream borrowed = Stream::borrow(device, stream.handle());
                 return linear->run(x, shape.k, 1, y, shape.n, workspace, borrowed);
               }));
  fmt::print("{:<28}  {:>7.2f} us  bare launch of an empty kernel {:.2f} us, over it {:.2f} us\n",
             "host time of a run", dispatched, bare, dispatched - bare);
  return Status();
}

Status repackAll(const Checkpoint &checkpoint, const std::shared_ptr<Dispatcher> &dispatcher,
                 std::vector<std::unique_ptr<Linear>> &linears) {
  GPTQC_ASSIGN(const Stream stream, Stream::create(dispatcher->device()));
  for (const LayerInfo &info : checkpoint.layers()) {
    GPTQC_ASSIGN(RawLayer raw, checkpoint.rawLayer(info));
    LinearPart part;
    part.facts = std::move(raw.facts);
    part.packing = raw.packing == Packing::Planar ? WordPacking::Planar : WordPacking::Continuous;
    part.words = raw.qweight.data();
    GPTQC_ASSIGN(auto linear, Linear::create(dispatcher, {&part, 1}, {}, false, stream));
    linears.push_back(std::move(linear));
  }
  return Status();
}

void printWeights(std::string_view what, double seconds,
                  const std::vector<std::unique_ptr<Linear>> &linears) {
  int64_t bytes = 0;
  for (const auto &linear : linears)
    bytes += linear->deviceBytes();
  printRow(what, seconds,
           fmt::format("{} layers, {}, {:.1f} GB/s", linears.size(), formatBytes(bytes),
                       double(bytes) / seconds / 1e9));
}

constexpr const char *kFromHost = "weights copied and repacked";

Status benchModelWeights(const std::string &model, const std::shared_ptr<Dispatcher> &dispatcher) {
  GPTQC_ASSIGN(const Checkpoint checkpoint, Checkpoint::open(model));
  std::vector<std::unique_ptr<Linear>> linears;
  Status status;
  const double seconds = secondsOf([&] { status = repackAll(checkpoint, dispatcher, linears); });
  GPTQC_TRY(status);
  printWeights(kFromHost, seconds, linears);
  return Status();
}

/// The layers as often as a model has blocks.
Status repackPlain(std::string_view what, const std::vector<LinearPart> &parts, int blocks,
                   const std::shared_ptr<Dispatcher> &dispatcher) {
  GPTQC_ASSIGN(const Stream stream, Stream::create(dispatcher->device()));
  std::vector<std::unique_ptr<Linear>> linears;
  Status status;
  const double seconds = secondsOf([&] {
    for (size_t i = 0; i < parts.size() * size_t(blocks) && status.ok(); ++i) {
      auto linear = Linear::create(dispatcher, {&parts[i % parts.size()], 1}, {}, false, stream);
      status = linear.status();
      if (linear.ok())
        linears.push_back(std::move(*linear));
    }
  });
  GPTQC_TRY(status);
  printWeights(what, seconds, linears);
  return Status();
}

/// Layers of the descriptors that have whole words and no act-order.
Status benchPlainWeights(const std::vector<Descriptor> &layers, int blocks,
                         const std::shared_ptr<Dispatcher> &dispatcher) {
  std::vector<HostLayer> plain;
  std::vector<LinearPart> parts;
  for (const Descriptor &d : layers)
    if (!d.actOrder && d.k % 32 == 0) {
      GPTQC_ASSIGN(HostLayer layer, HostLayer::of(d));
      plain.push_back(std::move(layer));
      parts.push_back(plain.back().part);
    }
  if (parts.empty())
    return Status();
  GPTQC_TRY(dispatcher->repack().status()); // its module is loaded
  GPTQC_TRY(repackPlain(kFromHost, parts, blocks, dispatcher));
  std::vector<DeviceBuffer> words;
  for (size_t i = 0; i < parts.size(); ++i) {
    GPTQC_ASSIGN(DeviceBuffer buffer, DeviceBuffer::upload(dispatcher->device(), plain[i].words));
    parts[i].words = reinterpret_cast<const void *>(buffer.address());
    parts[i].onDevice = true;
    words.push_back(std::move(buffer));
  }
  return repackPlain("repacked from GPU memory", parts, blocks, dispatcher);
}

/// Code into the GPU, and the model's weights through the repack kernels.
Status benchGpu(const LoadBenchArguments &arguments, Compiler &compiler,
                const std::shared_ptr<const Pack> &pack, const std::vector<KernelJob> &jobs,
                const std::vector<Descriptor> &layers) {
  Result<Device> device = Device::open();
  if (!device.ok()) {
    fmt::print("no GPU is measured: {}\n", device.status().message());
    return Status();
  }
  DispatcherOptions options;
  options.store.packs.push_back(pack);
  options.threads = int(arguments.threads);
  options.store.compiler.linear = [&](const Descriptor &kernel, const Target &target) {
    return compiler.compileLinear(kernel, target, std::nullopt);
  };
  const auto dispatcher = std::make_shared<Dispatcher>(*device, options);
  std::vector<Descriptor> kernels;
  for (const KernelJob &job : jobs)
    kernels.push_back(job.descriptor);
  Status status;
  const double loading = secondsOf([&] { status = dispatcher->prepare(kernels); });
  GPTQC_TRY(status);
  printRow("loaded into the GPU", loading, device->info().fullName);
  GPTQC_TRY(benchDispatch(compiler, dispatcher));
  return arguments.layers.model.empty() ? benchPlainWeights(layers, arguments.blocks, dispatcher)
                                        : benchModelWeights(arguments.layers.model, dispatcher);
}

Result<std::shared_ptr<const Pack>> packOf(std::vector<KernelJob> &jobs, const KernelImage &repack,
                                           const std::filesystem::path &path) {
  PackBuilder builder;
  for (KernelJob &job : jobs)
    GPTQC_TRY(builder.addLinear(*job.image, false));
  GPTQC_TRY(builder.addSupport(RepackKernels::kFile, repack, false));
  GPTQC_TRY(builder.write(path));
  return Pack::open(path);
}

/// Compiles every job into an empty cache; the time includes opening the compiler.
Result<double> compileCold(const CompilerOptions &options, const LoadBenchArguments &arguments,
                           std::unique_ptr<Compiler> &compiler, std::vector<KernelJob> &jobs) {
  Status status;
  const double seconds = secondsOf([&] {
    Result<std::unique_ptr<Compiler>> made = Compiler::create(options);
    status = made.status();
    if (!made.ok())
      return;
    compiler = std::move(*made);
    compileJobs(*compiler, jobs, arguments.threads, "load-bench");
  });
  GPTQC_TRY(status);
  GPTQC_TRY(jobsVerdict(jobs));
  return seconds;
}

Status loadBench(const LoadBenchArguments &arguments) {
  GPTQC_ASSIGN(const Target target, Target::parse(arguments.target));
  GPTQC_ASSIGN(const std::vector<Descriptor> layers, layersOf(arguments.layers));
  std::vector<KernelJob> jobs = bucketJobs(layers, {target}, arguments.tokens);
  const ScratchFolder scratch;
  if (scratch.path.empty())
    return makeError(Code::IoError, "cannot make a folder for a cache; set TMPDIR");
  fmt::print("{} layers, {} kernels for {}, {} threads, gptqc {}\n", layers.size(), jobs.size(),
             target.print(), resolveThreads(int(arguments.threads)), versionBuildId());

  CompilerOptions options;
  options.nvrtcPath = arguments.nvrtc;
  options.cacheDir = (scratch.path / "cache").string();
  GPTQC_ASSIGN(options.tuned, tunedLookup(arguments.tuned));
  std::unique_ptr<Compiler> compiler;
  GPTQC_ASSIGN(const double cold, compileCold(options, arguments, compiler, jobs));
  printRow("cold: compiled", cold, jobs.front().image->compiler);

  const auto fromCache = [&]() -> Result<KernelStoreOptions> {
    KernelStoreOptions store;
    store.cache = CacheOptions{scratch.path / "cache", {}, 0};
    store.cacheBuild = versionBuildId();
    return store;
  };
  GPTQC_ASSIGN(const double cached, findAll(fromCache, jobs, arguments));
  printRow("warm: from the cache", cached, "every entry verified");

  GPTQC_ASSIGN(const KernelImage repack,
               compiler->compileSupport(RepackKernels::kFile, RepackKernels::kEntry, target));
  const auto path = scratch.path / "pack";
  GPTQC_ASSIGN(const auto pack, packOf(jobs, repack, path));
  const auto fromPack = [&]() -> Result<KernelStoreOptions> {
    KernelStoreOptions store;
    GPTQC_ASSIGN(auto opened, Pack::open(path));
    store.packs.push_back(std::move(opened));
    return store;
  };
  GPTQC_ASSIGN(const double packed, findAll(fromPack, jobs, arguments));
  printRow("warm: from a pack", packed,
           fmt::format("{}, every digest verified",
                       formatBytes(int64_t(std::filesystem::file_size(path)))));
  return benchGpu(arguments, *compiler, pack, jobs, layers);
}

} // namespace

void registerLoadBench(CLI::App &app, Outcome &outcome) {
  auto arguments = std::make_shared<LoadBenchArguments>();
  LoadBenchArguments &a = *arguments;
  CLI::App *command = app.add_subcommand(
      "load-bench", "Time until all kernels of a model are ready: cold, from cache, from a pack");
  addLayerSource(*command, a.layers);
  command->add_option("--target", a.target, "GPU, e.g. sm_90a")->capture_default_str();
  command->add_option("--m", a.tokens, "Token counts whose buckets are needed; default: all")
      ->delimiter(',')
      ->check(CLI::Range(int64_t(1), int64_t(1) << 40));
  command->add_option("--tuned", a.tuned, "Tuning records: schedules where they have one");
  command
      ->add_option("--blocks", a.blocks,
                   "Without MODEL: weights of each layer this often, as the blocks of a model")
      ->check(CLI::Range(1, 1000));
  command->add_option("--threads", a.threads, "Threads; 0: all cores")->check(CLI::Range(0, 4096));
  command->add_option("--nvrtc", a.nvrtc, "libnvrtc to use");
  command->callback([arguments, &outcome] { outcome.status = loadBench(*arguments); });
}

} // namespace gptqc::cli
