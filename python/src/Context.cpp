// Opening a GPU with the compiler behind it, and its workspaces.
#include "python/src/Context.h"

#include <algorithm>

#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "python/src/Bindings.h"
#include "python/src/Support.h"
#include "runtime/core/Version.h"
#ifdef GPTQC_PYTHON_COMPILER
#include "compiler/Compiler.h"
#endif

namespace gptqc::python {
namespace {

/// Calls that a capture forbids by default, such as allocating, are allowed while one of these
/// lives.
class RelaxedCapture {
public:
  explicit RelaxedCapture(const Device &device) : device(device) { exchange(); }
  RelaxedCapture(const RelaxedCapture &) = delete;
  RelaxedCapture &operator=(const RelaxedCapture &) = delete;
  ~RelaxedCapture() { exchange(); }

private:
  static constexpr int kRelaxed = 2; ///< CU_STREAM_CAPTURE_MODE_RELAXED

  void exchange() { (void)device.api().cuThreadExchangeStreamCaptureMode(&mode); }

  const Device &device;
  int mode = kRelaxed; ///< after an exchange: the one before
};

Result<KernelCompiler> compilerFor(const ContextSettings &settings) {
  KernelCompiler kernels;
#ifdef GPTQC_PYTHON_COMPILER
  CompilerOptions options;
  options.nvrtcPath = settings.nvrtc;
  options.cacheDir = settings.cache.value_or("");
  options.useCache = !settings.cache || !settings.cache->empty();
  GPTQC_ASSIGN(std::unique_ptr<Compiler> made, Compiler::create(options));
  const std::shared_ptr<Compiler> compiler = std::move(made);
  kernels.linear = [compiler](const Descriptor &kernel, const Target &target) {
    return compiler->compileLinear(kernel, target, std::nullopt);
  };
  kernels.support = [compiler](std::string_view file, std::string_view entry,
                               const Target &target) {
    return compiler->compileSupport(file, entry, target);
  };
#else
  (void)settings;
#endif
  return kernels;
}

Result<KernelStoreOptions> storeFor(const ContextSettings &settings) {
  KernelStoreOptions store;
  if (settings.logTopics.empty()) {
    store.log = Log::fromEnvironment();
  } else {
    GPTQC_ASSIGN(store.log, Log::create(settings.logTopics));
  }
  GPTQC_ASSIGN(store.compiler, compilerFor(settings));
  for (const std::string &file : settings.packs) {
    GPTQC_ASSIGN(auto pack, Pack::open(file));
    store.packs.push_back(std::move(pack));
  }
  GPTQC_TRY(store.useCache(settings.cache, versionCacheBuild()));
  return store;
}

} // namespace

Result<std::shared_ptr<Context>> Context::create(const ContextSettings &settings) {
  DispatcherOptions options;
  options.compileInRun = settings.compileInRun;
  options.threads = settings.threads;
  GPTQC_ASSIGN(options.store, storeFor(settings));
  GPTQC_ASSIGN(Device device, Device::open(settings.device));
  return std::shared_ptr<Context>(
      new Context(std::make_shared<Dispatcher>(std::move(device), std::move(options))));
}

Result<DeviceSpan> Context::workspace(CuStream stream, int64_t bytes) {
  const std::lock_guard lock(mutex);
  std::vector<DeviceBuffer> &buffers = workspaces[stream];
  if (bytes == 0 && buffers.empty())
    return DeviceSpan();
  if (buffers.empty() || buffers.back().bytes() < bytes) {
    const int64_t grown = buffers.empty() ? 0 : 2 * buffers.back().bytes();
    const RelaxedCapture relaxed(device());
    GPTQC_ASSIGN(DeviceBuffer buffer,
                 DeviceBuffer::allocateZeroed(device(), std::max({bytes, grown, kCounterBytes})));
    buffers.push_back(std::move(buffer));
  }
  return DeviceSpan(buffers.back());
}

Result<CudaSolver *> Context::solver() {
  if (!cudaSolver) {
    GPTQC_ASSIGN(const KernelImage image,
                 kernels->store().support(CudaSolver::kFile, "quantize_columns", device().target(),
                                          device().info().driverVersion));
    GPTQC_ASSIGN(cudaSolver, CudaSolver::create(device(), image));
  }
  return cudaSolver.get();
}

void bindContext(nb::module_ &module) {
  nb::class_<Context>(module, "Context")
      .def_static(
          "create",
          [](int device, std::vector<std::string> packs, std::optional<std::string> cache,
             std::string nvrtc, bool compileInRun, int threads, std::string logTopics) {
            return unlocked([&] {
              return take(
                  Context::create({device, std::move(packs), std::move(cache), std::move(nvrtc),
                                   compileInRun, threads, std::move(logTopics)}));
            });
          },
          nb::arg("device"), nb::arg("packs"), nb::arg("cache").none(), nb::arg("nvrtc"),
          nb::arg("compile_in_run"), nb::arg("threads"), nb::arg("log_topics"))
      .def_prop_ro("device", [](const Context &c) { return c.device().info().ordinal; })
      .def_prop_ro("target", [](const Context &c) { return c.device().target().print(); })
      .def_prop_ro("name", [](const Context &c) { return c.device().info().fullName; });
  module.def("device_count", [] { return take(Device::count()); });
}

} // namespace gptqc::python
