// Loading cubins and launching kernels.
#include "runtime/device/Module.h"

#include <algorithm>

namespace gptqc {

namespace {

constexpr int kAttributeRegisters = 4, kAttributeMaxDynamicShared = 8; // CUfunction_attribute
constexpr CuResult kNoBinaryForGpu = 209, kInvalidPtx = 218, kInvalidImage = 200;
constexpr int kLaunchAttributeClusterDimension = 4; // CUlaunchAttributeID
constexpr int kLaunchAttributeProgrammaticStreamSerialization = 6;
constexpr int64_t kDefaultSharedBytes = 48 * 1024;

} // namespace

struct LoadedModule {
  LoadedModule(Device device, CuModule handle) : device(std::move(device)), handle(handle) {}
  LoadedModule(const LoadedModule &) = delete;
  LoadedModule &operator=(const LoadedModule &) = delete;
  ~LoadedModule() {
    const ContextScope scope(device);
    (void)device.api().cuModuleUnload(handle);
  }
  Device device;
  CuModule handle;
};

Result<Module> Module::load(const Device &device, const KernelImage &image) {
  Module module;
  module.label = image.descriptor.empty() ? image.launch.entry : image.descriptor;
  if (image.cubin.empty())
    return invalidArgument("kernel '{}': the image holds no cubin", module.label);
  const ContextScope scope(device);
  CuModule handle = nullptr;
  const CuResult result = device.api().cuModuleLoadData(&handle, image.cubin.data());
  if (result == kNoBinaryForGpu || result == kInvalidImage || result == kInvalidPtx)
    return makeError(
        Code::DeviceError,
        "kernel '{}': built for {} by {}, which this {} ({}, driver CUDA {}.{}) cannot "
        "load; compile for {}",
        module.label, image.target, image.compiler, device.info().fullName, device.target().arch(),
        device.info().driverVersion / 1000, device.info().driverVersion % 1000 / 10,
        device.target().arch());
  GPTQC_TRY(device.check(result, fmt::format("kernel '{}'", module.label)));
  module.module = std::make_shared<const LoadedModule>(device, handle);
  return module;
}

Result<Function> Module::function(const std::string &entry, int64_t dynamicShared,
                                  bool spreads) const {
  const Device &device = module->device;
  if (dynamicShared < 0 || dynamicShared > device.info().maxSharedBytes)
    return makeError(Code::Unsupported,
                     "kernel '{}': needs {} bytes of shared memory, {} has {} per block", label,
                     dynamicShared, device.info().fullName, device.info().maxSharedBytes);
  const ContextScope scope(device);
  Function function;
  function.module = module;
  function.entry = entry;
  function.dynamicShared = function.mostShared = dynamicShared;
  const auto describe = [&] { return fmt::format("kernel '{}', entry '{}'", label, entry); };
  GPTQC_TRY(device.check(
      device.api().cuModuleGetFunction(&function.function, module->handle, entry.c_str()),
      describe()));
  const auto allow = [&](int64_t bytes) {
    return device.api().cuFuncSetAttribute(function.function, kAttributeMaxDynamicShared,
                                           int(bytes));
  };
  if (spreads && allow(device.info().maxSharedBytes) == 0)
    function.mostShared = device.info().maxSharedBytes;
  else if (dynamicShared > kDefaultSharedBytes)
    GPTQC_TRY(device.check(allow(dynamicShared), describe()));
  return function;
}

int64_t Function::sharedFor(int blocksPerSm) const {
  constexpr int64_t kReserved = 1024; // of each block, beside its own
  if (blocksPerSm < 1)
    return dynamicShared;
  const int64_t all = module->device.info().maxSharedBytes + kReserved;
  return std::clamp(all / (blocksPerSm + 1) - kReserved + 128, dynamicShared, mostShared);
}

Status Function::launch(const Grid &grid, int threads, const void *args, const Stream &stream,
                        const void *second, bool overlaps, int blocksPerSm) const {
  const Device &device = module->device;
  if (grid.x < 1 || grid.y < 1 || grid.z < 1 || grid.x > INT32_MAX || grid.y > 65535 ||
      grid.z > 65535)
    return invalidArgument("kernel entry '{}': a grid of {} x {} x {} blocks cannot be launched",
                           entry, grid.x, grid.y, grid.z);
  // The driver only reads the parameters.
  void *parameters[] = {const_cast<void *>(args), const_cast<void *>(second)};
  const ContextScope scope(device);
  const int64_t shared = sharedFor(blocksPerSm);
  CuResult result = 0;
  if (overlaps) {
    CuLaunchAttribute attribute = {};
    attribute.id = kLaunchAttributeProgrammaticStreamSerialization;
    attribute.programmaticStreamSerialization = 1;
    CuLaunchConfig config = {};
    config.gridX = unsigned(grid.x), config.gridY = unsigned(grid.y);
    config.gridZ = unsigned(grid.z);
    config.blockX = unsigned(threads), config.blockY = config.blockZ = 1;
    config.sharedBytes = unsigned(shared);
    config.stream = stream.handle();
    config.attributes = &attribute;
    config.attributeCount = 1;
    result = device.api().cuLaunchKernelEx(&config, function, parameters, nullptr);
  } else {
    result = device.api().cuLaunchKernel(function, unsigned(grid.x), unsigned(grid.y),
                                         unsigned(grid.z), unsigned(threads), 1, 1,
                                         unsigned(shared), stream.handle(), parameters, nullptr);
  }
  return result == 0 ? Status() : device.check(result, fmt::format("launch of '{}'", entry));
}

Result<int> Function::registers() const {
  const Device &device = module->device;
  const ContextScope scope(device);
  int value = 0;
  GPTQC_TRY(device.check(device.api().cuFuncGetAttribute(&value, kAttributeRegisters, function),
                         "cuFuncGetAttribute"));
  return value;
}

Result<int64_t> Function::residentClusters(int threads, int cluster, int blocksPerSm) const {
  const Device &device = module->device;
  CuLaunchAttribute attribute = {};
  attribute.id = kLaunchAttributeClusterDimension;
  attribute.cluster = {unsigned(cluster), 1, 1};
  CuLaunchConfig config = {};
  config.gridX = unsigned(cluster), config.gridY = config.gridZ = 1;
  config.blockX = unsigned(threads), config.blockY = config.blockZ = 1;
  config.sharedBytes = unsigned(sharedFor(blocksPerSm));
  config.attributes = &attribute;
  config.attributeCount = 1;
  int clusters = 0;
  GPTQC_TRY(device.check(device.api().cuOccupancyMaxActiveClusters(&clusters, function, &config),
                         "cuOccupancyMaxActiveClusters"));
  return clusters;
}

Result<std::vector<int64_t>> Function::residentBlocks(int threads, int cluster) const {
  const Device &device = module->device;
  const ContextScope scope(device);
  std::vector<int64_t> blocks;
  if (cluster == 1) {
    int most = 0;
    GPTQC_TRY(device.check(device.api().cuOccupancyMaxActiveBlocksPerMultiprocessor(
                               &most, function, threads, size_t(dynamicShared)),
                           "cuOccupancyMaxActiveBlocksPerMultiprocessor"));
    for (int perSm = 1; perSm <= most; ++perSm)
      blocks.push_back(int64_t(perSm) * device.target().plannedSmCount());
  } else {
    // A cluster stays inside a group of multiprocessors, so some of these are left over.
    GPTQC_ASSIGN(const int64_t all, residentClusters(threads, cluster, 0));
    for (int64_t clusters = 0; clusters < all; blocks.push_back(clusters * cluster)) {
      GPTQC_ASSIGN(clusters, residentClusters(threads, cluster, int(blocks.size()) + 1));
    }
  }
  if (blocks.empty())
    return makeError(Code::Unsupported,
                     "kernel entry '{}': no cluster of {} blocks of {} threads with {} bytes of "
                     "shared memory fits on the device",
                     entry, cluster, threads, dynamicShared);
  return blocks;
}

} // namespace gptqc
