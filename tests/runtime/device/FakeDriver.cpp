// The fake driver's functions. Built twice: FAKE_OLD leaves a symbol out, as a driver of long ago
// would.
#include "tests/runtime/device/FakeDriver.h"
#include "runtime/device/DriverApi.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

using gptqc::FakeState;

namespace {

FakeState state;
std::recursive_mutex mutex; // every call that touches the state or memory holds it
thread_local void *currentContext = nullptr;
int contextObject, graphObject;
constexpr int kSharedBytes = 232448; // of a block, at most

/// Copies from the host that have returned, but not reached the device: it sees them when the
/// default stream is synchronized, as with pageable memory.
struct Transfer {
  uint64_t to;
  std::vector<char> data;
};
std::vector<Transfer> transfers;

void finishTransfers() {
  for (const Transfer &transfer : transfers)
    std::memcpy(reinterpret_cast<void *>(transfer.to), transfer.data.data(), transfer.data.size());
  transfers.clear();
}

int failureOf(const char *symbol) { return state.failing == symbol ? state.failure : 0; }

size_t argumentBytes(const std::string &entry) {
  static const std::map<std::string, size_t> sizes = {{"gptqc_linear", 112},
                                                      {"gptqc_permute", 112},
                                                      {"repack_weights", 88},
                                                      {"repack_scales", 64},
                                                      {"dequantize_packed", 112}};
  const auto it = sizes.find(entry);
  return it == sizes.end() ? 0 : it->second;
}

/// Keeps a launch, or hands it to the test.
int recordLaunch(gptqc::FakeLaunch launch, void **parameters) {
  ++state.launchCount;
  if (!state.record)
    return 0;
  if (state.launcher)
    return state.launcher(launch, parameters[0]);
  launch.args.resize(argumentBytes(launch.entry));
  std::memcpy(launch.args.data(), parameters[0], launch.args.size());
  if (parameters[1]) {
    launch.map.resize(6);
    std::memcpy(launch.map.data(), parameters[1], 6 * sizeof(uint64_t));
  }
  state.launches.push_back(std::move(launch));
  return 0;
}

} // namespace

#define LOCK const std::lock_guard guard(mutex)
#define FAKE(name)                                                                                 \
  LOCK;                                                                                            \
  if (const int failure = failureOf(#name))                                                        \
  return failure

// As the driver, which knows by the thread's context alone whose call it is.
#define FAKE_IN_CONTEXT(name)                                                                      \
  FAKE(name);                                                                                      \
  if (currentContext != &contextObject)                                                            \
  return 201 // CUDA_ERROR_INVALID_CONTEXT

// The names are the driver's.
// NOLINTBEGIN(readability-identifier-naming)
extern "C" {
#pragma GCC visibility push(default)

FakeState *fakeDriverState() { return &state; }

int cuInit(unsigned) {
  FAKE(cuInit);
  return 0;
}
int cuDriverGetVersion(int *version) {
  *version = state.version;
  return 0;
}
int cuGetErrorName(int code, const char **name) {
  *name = code == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_FAKE";
  return 0;
}
int cuGetErrorString(int code, const char **text) {
  *text = code == 2 ? "out of memory" : "a made-up failure";
  return 0;
}
int cuDeviceGetCount(int *count) {
  FAKE(cuDeviceGetCount);
  *count = state.deviceCount;
  return 0;
}
int cuDeviceGet(int *device, int ordinal) {
  *device = ordinal;
  return 0;
}
int cuDeviceGetName(char *name, int size, int) {
  std::strncpy(name, state.name.c_str(), size_t(size));
  return 0;
}
int cuDeviceGetAttribute(int *value, int which, int) {
  static const std::map<int, int> fixed = {
      {36, 3201000}, {37, 6144}, {38, 62914560}, {97, kSharedBytes}};
  const auto it = fixed.find(which);
  *value = which == 16   ? state.smCount
           : which == 75 ? state.major
           : which == 76 ? state.minor
                         : (it == fixed.end() ? 0 : it->second);
  return 0;
}
int cuDeviceTotalMem_v2(size_t *bytes, int) {
  *bytes = size_t(1) << 37;
  return 0;
}
int cuDevicePrimaryCtxRetain(void **context, int) {
  FAKE(cuDevicePrimaryCtxRetain);
  *context = &contextObject;
  return 0;
}
int cuDevicePrimaryCtxRelease_v2(int) { return 0; }
int cuCtxGetCurrent(void **context) {
  *context = currentContext;
  return 0;
}
int cuCtxSetCurrent(void *context) {
  currentContext = context;
  return 0;
}
int cuProfilerStart() { return 0; }
int cuProfilerStop() { return 0; }
int cuCtxSynchronize() {
  LOCK;
  finishTransfers();
  ++state.synchronizations;
  return 0;
}
int cuMemGetInfo_v2(size_t *available, size_t *total) {
  LOCK;
  *available = state.freeBytes;
  *total = size_t(1) << 37;
  return 0;
}
int cuMemAlloc_v2(uint64_t *pointer, size_t bytes) {
  FAKE_IN_CONTEXT(cuMemAlloc_v2);
  *pointer = reinterpret_cast<uint64_t>(std::aligned_alloc(256, (bytes + 255) / 256 * 256));
  state.memory[*pointer] = bytes;
  ++state.allocations;
  ++state.allocationCalls;
  return 0;
}
int cuMemFree_v2(uint64_t pointer) {
  LOCK;
  finishTransfers();
  state.memory.erase(pointer);
  std::free(reinterpret_cast<void *>(pointer));
  --state.allocations;
  return 0;
}
int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes) {
  FAKE_IN_CONTEXT(cuMemcpyHtoD_v2);
  std::memset(reinterpret_cast<void *>(to), 0xcd, bytes);
  const auto *first = static_cast<const char *>(from);
  transfers.push_back({to, std::vector<char>(first, first + bytes)});
  return 0;
}
int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes) {
  LOCK;
  finishTransfers();
  std::memcpy(to, reinterpret_cast<void *>(from), bytes);
  return 0;
}
int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, void *) {
  LOCK;
  std::memcpy(reinterpret_cast<void *>(to), from, bytes);
  return 0;
}
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, void *) {
  LOCK;
  std::memcpy(to, reinterpret_cast<void *>(from), bytes);
  return 0;
}
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void *) {
  LOCK;
  std::memcpy(reinterpret_cast<void *>(to), reinterpret_cast<void *>(from), bytes);
  return 0;
}
int cuMemcpy2DAsync_v2(const gptqc::CuMemcpy2D *copy, void *) {
  FAKE_IN_CONTEXT(cuMemcpy2DAsync_v2);
  ++state.copies2d;
  const auto *from = copy->sourceType == gptqc::CuMemcpy2D::kHost
                         ? static_cast<const char *>(copy->sourceHost)
                         : reinterpret_cast<const char *>(copy->sourceDevice);
  auto *to = reinterpret_cast<char *>(copy->targetDevice);
  for (size_t row = 0; row < copy->height; ++row)
    std::memcpy(to + row * copy->targetPitch, from + row * copy->sourcePitch, copy->widthBytes);
  return 0;
}
int cuMemsetD8Async(uint64_t at, unsigned char value, size_t count, void *) {
  std::memset(reinterpret_cast<void *>(at), value, count);
  return 0;
}
int cuMemsetD16Async(uint64_t at, unsigned short value, size_t count, void *) {
  for (size_t i = 0; i < count; ++i)
    std::memcpy(reinterpret_cast<char *>(at) + 2 * i, &value, 2);
  return 0;
}
int cuStreamCreate(void **stream, unsigned) {
  LOCK;
  *stream = std::malloc(1);
  ++state.streams;
  return 0;
}
int cuStreamDestroy_v2(void *stream) {
  LOCK;
  std::free(stream);
  --state.streams;
  return 0;
}
int cuStreamSynchronize(void *stream) {
  FAKE_IN_CONTEXT(cuStreamSynchronize);
  if (stream)
    ++state.synchronizations;
  else
    finishTransfers();
  return 0;
}
int cuStreamBeginCapture_v2(void *, int) {
  state.capturing = true;
  return 0;
}
int cuThreadExchangeStreamCaptureMode(int *) { return 0; }
int cuStreamEndCapture(void *, void **graph) {
  FAKE_IN_CONTEXT(cuStreamEndCapture);
  state.capturing = false;
  *graph = &graphObject;
  ++state.graphs;
  return 0;
}
#ifndef FAKE_OLD
int cuGraphInstantiateWithFlags(void **executable, void *, unsigned long long) {
  FAKE_IN_CONTEXT(cuGraphInstantiateWithFlags);
  *executable = std::malloc(1);
  ++state.graphs;
  return 0;
}
#endif
int cuGraphLaunch(void *, void *) {
  ++state.graphLaunches;
  return 0;
}
int cuGraphExecDestroy(void *executable) {
  std::free(executable);
  --state.graphs;
  return 0;
}
int cuGraphDestroy(void *) {
  --state.graphs;
  return 0;
}
int cuEventCreate(void **event, unsigned) {
  LOCK;
  *event = std::malloc(1);
  ++state.events;
  return 0;
}
int cuEventDestroy_v2(void *event) {
  LOCK;
  std::free(event);
  --state.events;
  return 0;
}
int cuEventRecord(void *, void *) { return 0; }
int cuEventSynchronize(void *) { return 0; }
int cuEventElapsedTime(float *milliseconds, void *, void *) {
  *milliseconds = 1.5f;
  return 0;
}
int cuModuleLoadData(void **module, const void *) {
  FAKE_IN_CONTEXT(cuModuleLoadData);
  ++state.moduleLoads;
  *module = std::malloc(1);
  ++state.modules;
  return 0;
}
int cuModuleUnload(void *module) {
  LOCK;
  std::free(module);
  --state.modules;
  return 0;
}
int cuModuleGetFunction(void **function, void *, const char *name) {
  FAKE_IN_CONTEXT(cuModuleGetFunction);
  static std::map<std::string, int> functions;
  *function = const_cast<char *>(functions.emplace(name, 0).first->first.c_str());
  return 0;
}
int cuFuncSetAttribute(void *, int, int value) {
  FAKE(cuFuncSetAttribute);
  state.maxDynamicShared = value;
  return 0;
}
int cuFuncGetAttribute(int *value, int, void *) {
  *value = 64;
  return 0;
}
int cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, void *, int, size_t shared) {
  *blocks = std::min(state.residentBlocks, int((kSharedBytes + 1024) / (shared + 1024)));
  return 0;
}
int cuOccupancyMaxActiveClusters(int *clusters, void *function,
                                 const gptqc::CuLaunchConfig *config) {
  int perSm = 0;
  cuOccupancyMaxActiveBlocksPerMultiprocessor(&perSm, function, 0, config->sharedBytes);
  std::vector<int> groups = state.clusterGroups;
  if (groups.empty())
    groups = {state.smCount};
  *clusters = 0;
  for (const int multiprocessors : groups)
    *clusters += multiprocessors * perSm / int(config->attributes->cluster.x);
  return 0;
}
int cuTensorMapEncodeTiled(void *map, int, unsigned, void *base, const uint64_t *sizes,
                           const uint64_t *strides, const unsigned *box, const unsigned *, int, int,
                           int, int) {
  FAKE_IN_CONTEXT(cuTensorMapEncodeTiled);
  const uint64_t facts[] = {
      reinterpret_cast<uint64_t>(base), sizes[0], sizes[1], strides[0], box[0], box[1]};
  std::memcpy(map, facts, sizeof facts);
  return 0;
}
int cuLaunchKernel(void *function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned,
                   unsigned, unsigned shared, void *, void **parameters, void **) {
  FAKE_IN_CONTEXT(cuLaunchKernel);
  return recordLaunch({static_cast<const char *>(function),
                       x,
                       y,
                       z,
                       threads,
                       shared,
                       state.capturing,
                       false,
                       {},
                       {}},
                      parameters);
}
int cuLaunchKernelEx(const gptqc::CuLaunchConfig *config, void *function, void **parameters,
                     void **) {
  FAKE_IN_CONTEXT(cuLaunchKernelEx);
  constexpr int kProgrammaticStreamSerialization = 6;
  const bool overlaps = config->attributeCount == 1 &&
                        config->attributes->id == kProgrammaticStreamSerialization &&
                        config->attributes->programmaticStreamSerialization == 1;
  return recordLaunch({static_cast<const char *>(function),
                       config->gridX,
                       config->gridY,
                       config->gridZ,
                       config->blockX,
                       config->sharedBytes,
                       state.capturing,
                       overlaps,
                       {},
                       {}},
                      parameters);
}

#pragma GCC visibility pop
}
// NOLINTEND(readability-identifier-naming)
