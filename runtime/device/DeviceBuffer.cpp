// Allocation and copies.
#include "runtime/device/DeviceBuffer.h"

#include <utility>

namespace gptqc {

Result<DeviceBuffer> DeviceBuffer::allocate(const Device &device, int64_t bytes) {
  DeviceBuffer buffer;
  if (bytes < 0)
    return invalidArgument("device memory: {} bytes asked for", bytes);
  buffer.device = std::make_shared<const Device>(device);
  if (bytes == 0)
    return buffer;
  const ContextScope scope(device);
  GPTQC_TRY(device.check(device.api().cuMemAlloc_v2(&buffer.pointer, size_t(bytes)),
                         fmt::format("device memory, {} bytes", bytes)));
  buffer.size = bytes;
  return buffer;
}

Result<DeviceBuffer> DeviceBuffer::allocateZeroed(const Device &device, int64_t bytes) {
  GPTQC_ASSIGN(DeviceBuffer buffer, allocate(device, bytes));
  if (bytes == 0)
    return buffer;
  GPTQC_ASSIGN(const Stream stream, Stream::create(device));
  GPTQC_TRY(buffer.fill(0, stream));
  GPTQC_TRY(stream.synchronize());
  return buffer;
}

Result<DeviceBuffer> DeviceBuffer::upload(const Device &device, const void *data, int64_t bytes) {
  GPTQC_ASSIGN(DeviceBuffer buffer, allocate(device, bytes));
  GPTQC_TRY(buffer.write(data, bytes));
  return buffer;
}

Status DeviceBuffer::reserve(const Device &on, int64_t bytes) {
  if (size >= bytes)
    return Status();
  *this = DeviceBuffer(); // before the new memory is taken
  GPTQC_ASSIGN(*this, allocate(on, bytes));
  return Status();
}

DeviceBuffer::DeviceBuffer(DeviceBuffer &&other) noexcept
    : device(std::move(other.device)), pointer(std::exchange(other.pointer, 0)),
      size(std::exchange(other.size, 0)) {}

DeviceBuffer &DeviceBuffer::operator=(DeviceBuffer &&other) noexcept {
  if (this != &other) {
    release();
    device = std::move(other.device);
    pointer = std::exchange(other.pointer, 0);
    size = std::exchange(other.size, 0);
  }
  return *this;
}

DeviceBuffer::~DeviceBuffer() { release(); }

void DeviceBuffer::release() {
  if (pointer == 0)
    return;
  const ContextScope scope(*device);
  (void)device->api().cuMemFree_v2(std::exchange(pointer, 0));
}

namespace {

Status checkRange(int64_t offset, int64_t bytes, int64_t size) {
  if (offset < 0 || bytes < 0 || offset > size || bytes > size - offset)
    return invalidArgument("device memory: {} bytes from byte {} on, of a buffer of {}", bytes,
                           offset, size);
  return Status();
}

} // namespace

Status DeviceBuffer::write(const void *data, int64_t bytes, int64_t offset) {
  GPTQC_TRY(checkRange(offset, bytes, size));
  if (bytes == 0)
    return Status();
  const ContextScope scope(*device);
  GPTQC_TRY(device->check(
      device->api().cuMemcpyHtoD_v2(pointer + CuDevicePtr(offset), data, size_t(bytes)),
      "copy to the GPU"));
  // From pageable memory the call returns when the data are staged. The transfer itself is work of
  // the default stream, which our streams do not wait for.
  return device->check(device->api().cuStreamSynchronize(nullptr), "copy to the GPU");
}

Status DeviceBuffer::read(void *data, int64_t bytes, int64_t offset) const {
  GPTQC_TRY(checkRange(offset, bytes, size));
  if (bytes == 0)
    return Status();
  const ContextScope scope(*device);
  return device->check(
      device->api().cuMemcpyDtoH_v2(data, pointer + CuDevicePtr(offset), size_t(bytes)),
      "copy from the GPU");
}

Status DeviceBuffer::copyFrom(CuDevicePtr source, int64_t bytes, const Stream &stream) {
  if (bytes < 0 || bytes > size)
    return invalidArgument("a copy of {} bytes does not fit into {}", bytes, size);
  if (bytes == 0)
    return Status();
  const ContextScope scope(*device);
  return device->check(
      device->api().cuMemcpyDtoDAsync_v2(pointer, source, size_t(bytes), stream.handle()),
      "cuMemcpyDtoDAsync");
}

Status DeviceBuffer::fill(uint8_t value, const Stream &stream) {
  if (size == 0)
    return Status();
  const ContextScope scope(*device);
  return device->check(device->api().cuMemsetD8Async(pointer, value, size_t(size), stream.handle()),
                       "cuMemsetD8Async");
}

Status DeviceBuffer::fill16(uint16_t value, const Stream &stream) {
  if (size < 2)
    return Status();
  const ContextScope scope(*device);
  return device->check(
      device->api().cuMemsetD16Async(pointer, value, size_t(size / 2), stream.handle()),
      "cuMemsetD16Async");
}

} // namespace gptqc
