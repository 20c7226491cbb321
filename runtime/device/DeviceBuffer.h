// DeviceBuffer: device memory with an owner.
#ifndef GPTQC_RUNTIME_DEVICE_DEVICEBUFFER_H
#define GPTQC_RUNTIME_DEVICE_DEVICEBUFFER_H

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/device/Device.h"
#include "runtime/device/Stream.h"

namespace gptqc {

/// Movable. Freed with its owner, which must wait for the work that uses it first (freeing does
/// wait for the device, as the driver defines it). An empty buffer has address 0.
class DeviceBuffer {
public:
  DeviceBuffer() = default;
  /// Uninitialized memory, 256-byte aligned; 0 bytes give an empty buffer.
  static Result<DeviceBuffer> allocate(const Device &device, int64_t bytes);
  /// Memory set to zero, complete when this returns.
  static Result<DeviceBuffer> allocateZeroed(const Device &device, int64_t bytes);
  /// A copy of host memory, complete when this returns.
  static Result<DeviceBuffer> upload(const Device &device, const void *data, int64_t bytes);
  template <typename T>
  static Result<DeviceBuffer> upload(const Device &device, const std::vector<T> &values) {
    return upload(device, values.data(), int64_t(values.size() * sizeof(T)));
  }

  DeviceBuffer(DeviceBuffer &&other) noexcept;
  DeviceBuffer &operator=(DeviceBuffer &&other) noexcept;
  ~DeviceBuffer();

  CuDevicePtr address() const { return pointer; }
  int64_t bytes() const { return size; }

  /// Makes room for so many bytes, undefined then; memory that suffices stays.
  Status reserve(const Device &device, int64_t bytes);

  /// Synchronous copies; the range must lie inside the buffer (InvalidArgument).
  Status write(const void *data, int64_t bytes, int64_t offset = 0);
  Status read(void *data, int64_t bytes, int64_t offset = 0) const;
  template <typename T> Result<std::vector<T>> download() const {
    return download<T>(size / int64_t(sizeof(T)));
  }
  /// The first `count` elements.
  template <typename T> Result<std::vector<T>> download(int64_t count) const {
    std::vector<T> values(static_cast<size_t>(count));
    GPTQC_TRY(read(values.data(), count * int64_t(sizeof(T))));
    return values;
  }

  /// Sets every byte, or every 16-bit word, in stream order.
  Status fill(uint8_t value, const Stream &stream);
  Status fill16(uint16_t value, const Stream &stream);

  /// The first `bytes` from elsewhere on the device, in stream order.
  Status copyFrom(CuDevicePtr source, int64_t bytes, const Stream &stream);

private:
  void release();

  std::shared_ptr<const Device> device;
  CuDevicePtr pointer = 0;
  int64_t size = 0;
};

/// Device memory that somebody else owns, e.g. a caller's workspace.
class DeviceSpan {
public:
  DeviceSpan() = default;
  DeviceSpan(CuDevicePtr pointer, int64_t size) : pointer(pointer), size(size) {}
  DeviceSpan(const DeviceBuffer &buffer) : pointer(buffer.address()), size(buffer.bytes()) {}

  CuDevicePtr address() const { return pointer; }
  int64_t bytes() const { return size; }

private:
  CuDevicePtr pointer = 0;
  int64_t size = 0;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_DEVICE_DEVICEBUFFER_H
