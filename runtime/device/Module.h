// Module and Function: a loaded cubin and its kernels.
#ifndef GPTQC_RUNTIME_DEVICE_MODULE_H
#define GPTQC_RUNTIME_DEVICE_MODULE_H

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/core/KernelImage.h"
#include "runtime/device/Device.h"
#include "runtime/device/Stream.h"

namespace gptqc {

struct Grid {
  int64_t x = 1, y = 1, z = 1; ///< x up to 2^31 - 1, y and z up to 65535
};

/// A kernel that is ready to launch; keeps its module loaded. Copyable, thread-safe.
class Function {
public:
  /// `args` is the kernel's parameter, a struct passed by value, copied during the call; so is
  /// `second` where the kernel has two. With `overlaps` the kernel may start before the one in
  /// front of it on the stream has ended (programmatic dependent launch; sm_90): it waits itself.
  /// `blocksPerSm`, if not 0, is the most blocks that share a multiprocessor, at least as far as
  /// dynamic shared memory, padded up to `mostShared`, can see to it.
  Status launch(const Grid &grid, int threads, const void *args, const Stream &stream,
                const void *second = nullptr, bool overlaps = false, int blocksPerSm = 0) const;

  const std::string &name() const { return entry; }
  int64_t sharedBytes() const { return dynamicShared; }
  /// Registers per thread, as the driver says.
  Result<int> registers() const;
  /// [i]: how many blocks of `threads` threads, in clusters of `cluster` blocks, the device holds
  /// at once when at most i + 1 share a multiprocessor; ascending, the last is all that fit, at
  /// least one cluster.
  Result<std::vector<int64_t>> residentBlocks(int threads, int cluster) const;

private:
  friend class Module;
  /// Dynamic shared memory, padded so that one block more than `blocksPerSm` does not fit; 0: not.
  int64_t sharedFor(int blocksPerSm) const;
  Result<int64_t> residentClusters(int threads, int cluster, int blocksPerSm) const;

  std::shared_ptr<const struct LoadedModule> module;
  CuFunction function = nullptr;
  std::string entry;
  int64_t dynamicShared = 0, mostShared = 0;
};

/// Copyable handle; the code is unloaded with its last user.
class Module {
public:
  /// Loads a cubin. DeviceError names the image and, where the GPU cannot run it, both
  /// architectures.
  static Result<Module> load(const Device &device, const KernelImage &image);

  /// A kernel by name with `dynamicShared` bytes of dynamic shared memory per block; `spreads` lets
  /// its launches use more to keep other blocks away, as far as the driver grants it.
  Result<Function> function(const std::string &entry, int64_t dynamicShared = 0,
                            bool spreads = false) const;

private:
  std::shared_ptr<const struct LoadedModule> module;
  std::string label;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_DEVICE_MODULE_H
