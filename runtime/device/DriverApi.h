// The CUDA driver, opened with dlopen: binaries need no libcuda to start and no CUDA headers to
// build. The types here mirror those of the driver API.
#ifndef GPTQC_RUNTIME_DEVICE_DRIVERAPI_H
#define GPTQC_RUNTIME_DEVICE_DRIVERAPI_H

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/core/Status.h"

namespace gptqc {

using CuResult = int;
using CuDevice = int;
using CuDevicePtr = uint64_t;
using CuContext = struct CUctx_st *;
using CuModule = struct CUmod_st *;
using CuFunction = struct CUfunc_st *;
using CuStream = struct CUstream_st *;
using CuEvent = struct CUevent_st *;
using CuGraph = struct CUgraph_st *;
using CuGraphExec = struct CUgraphExec_st *;

/// CUDA_MEMCPY2D: `height` rows of `widthBytes`.
struct CuMemcpy2D {
  static constexpr unsigned kHost = 1, kDevice = 2; ///< CUmemorytype
  size_t sourceX = 0, sourceY = 0;
  unsigned sourceType = kDevice;
  const void *sourceHost = nullptr;
  CuDevicePtr sourceDevice = 0;
  void *sourceArray = nullptr;
  size_t sourcePitch = 0;
  size_t targetX = 0, targetY = 0;
  unsigned targetType = kDevice;
  void *targetHost = nullptr;
  CuDevicePtr targetDevice = 0;
  void *targetArray = nullptr;
  size_t targetPitch = 0;
  size_t widthBytes = 0, height = 0;
};
static_assert(sizeof(CuMemcpy2D) == 128);

/// CUlaunchAttribute, as far as we set any.
struct CuLaunchAttribute {
  int id;
  int padding;
  union {
    struct {
      unsigned x, y, z;
    } cluster;
    int programmaticStreamSerialization;
    char bytes[64];
  };
};
static_assert(sizeof(CuLaunchAttribute) == 72);

/// CUlaunchConfig.
struct CuLaunchConfig {
  unsigned gridX, gridY, gridZ, blockX, blockY, blockZ, sharedBytes;
  CuStream stream;
  CuLaunchAttribute *attributes;
  unsigned attributeCount;
};
static_assert(sizeof(CuLaunchConfig) == 56);

/// CUtensorMap.
struct alignas(64) CuTensorMap {
  uint64_t opaque[16];
};
static_assert(sizeof(CuTensorMap) == 128);

/// The functions of DriverApi.def, resolved. Immutable, shared by everything that uses the GPU.
struct DriverApi {
#define X(name, parameters) CuResult(*name) parameters = nullptr;
#include "runtime/device/DriverApi.def"
#undef X
  int version = 0; ///< e.g. 13000 for CUDA 13.0

  /// Opens and initializes the driver. DeviceError when there is none, when it is too old (naming
  /// the missing symbol), or when it finds no GPU. The library stays open.
  static Result<std::shared_ptr<const DriverApi>> load(const std::string &library = "libcuda.so.1");

  /// Success, or DeviceError `<action>: <name of the error>: <its text>`; the one place where
  /// driver results become a Status. Running out of memory says so.
  Status check(CuResult result, std::string_view action) const;
};

} // namespace gptqc

#endif // GPTQC_RUNTIME_DEVICE_DRIVERAPI_H
