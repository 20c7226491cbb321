// Device: one GPU with its primary context, which it shares with every other user of the GPU in the
// process.
#ifndef GPTQC_RUNTIME_DEVICE_DEVICE_H
#define GPTQC_RUNTIME_DEVICE_DEVICE_H

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/core/Status.h"
#include "runtime/core/Target.h"
#include "runtime/device/DriverApi.h"

namespace gptqc {

struct DeviceInfo {
  int ordinal = 0;
  std::string fullName; ///< as the driver says, e.g. "NVIDIA H200"
  Target target;        ///< e.g. `sm_90a h200 sms132`
  int64_t memoryBytes = 0;
  int64_t l2Bytes = 0;
  int64_t maxSharedBytes = 0; ///< dynamic shared memory that one block may opt in to
  double memoryBandwidth = 0; ///< peak, bytes per second, from clock and bus width; 0: unknown
  int driverVersion = 0;      ///< e.g. 13000
};

/// "h200" for "NVIDIA H200", "rtx4090" for "NVIDIA GeForce RTX 4090": lower case, no vendor, no
/// size.
std::string shortDeviceName(std::string_view fullName);

/// A shared handle: copies are cheap and keep the primary context retained. Thread-safe.
class Device {
public:
  /// Number of GPUs that CUDA shows; DeviceError without a driver.
  static Result<int> count(const std::shared_ptr<const DriverApi> &driver);
  static Result<int> count();

  /// Retains the primary context of GPU `ordinal` (0..count-1).
  static Result<Device> open(std::shared_ptr<const DriverApi> driver, int ordinal);
  static Result<Device> open(int ordinal = 0);

  const DeviceInfo &info() const;
  const Target &target() const { return info().target; }
  const DriverApi &api() const;

  /// Bytes of device memory that are free now.
  Result<int64_t> freeBytes() const;
  /// Waits for everything on the device.
  Status synchronize() const;

  /// What runs between these two, both of which wait for the device, is seen by a profiler that was
  /// told to wait for it (`ncu --profile-from-start off`).
  Status startProfiler() const;
  Status stopProfiler() const;

  Status check(CuResult result, std::string_view action) const {
    return api().check(result, action);
  }

private:
  struct State;
  friend class ContextScope;
  std::shared_ptr<const State> state;
};

/// Makes the device's context current on this thread, and the former one again when it ends. Every
/// call of this folder opens one; callers need not.
class ContextScope {
public:
  explicit ContextScope(const Device &device);
  ContextScope(const ContextScope &) = delete;
  ContextScope &operator=(const ContextScope &) = delete;
  ~ContextScope();

private:
  const Device &device;
  CuContext previous = nullptr;
  bool changed = false;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_DEVICE_DEVICE_H
