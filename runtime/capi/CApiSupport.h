// What the files of the C interface share: its objects, and the one way from Status and exceptions
// to gptqc_error.
#ifndef GPTQC_RUNTIME_CAPI_CAPISUPPORT_H
#define GPTQC_RUNTIME_CAPI_CAPISUPPORT_H

#include <exception>
#include <memory>
#include <span>
#include <string>

#include "gptqc/gptqc.h"
#include "runtime/checkpoint/Checkpoint.h"
#include "runtime/core/Status.h"
#include "runtime/cpu/Executor.h"
#include "runtime/dispatch/Linear.h"

struct gptqc_error {
  int code = GPTQC_INTERNAL;
  std::string message;
};

struct gptqc_layer {
  gptqc::PackedWeights packed;
  std::string descriptor;
  std::vector<gptqc::Executor> experts; ///< one for a plain layer; borrow `packed`
};

struct gptqc_checkpoint {
  gptqc::Checkpoint checkpoint;
  std::vector<std::string> descriptors; ///< of its layers
};

struct gptqc_context {
  std::shared_ptr<gptqc::Dispatcher> dispatcher;
  std::string target;
};

struct gptqc_linear {
  std::unique_ptr<gptqc::Linear> linear;
  std::string descriptor;
};

namespace gptqc::capi {

/// Returned when there is no memory for an error; gptqc_error_free leaves it alone.
gptqc_error *outOfMemory();

gptqc_error *toError(const Status &status);

/// Runs `body`, which returns a Status; the one place where exceptions end. They can only be
/// std::bad_alloc, std::length_error and the like: sizes that no memory holds.
template <typename Body> gptqc_error *guarded(const Body &body) {
  try {
    return toError(body());
  } catch (const std::exception &) {
    return outOfMemory();
  }
}

template <typename T> std::span<const T> spanOf(const T *data, int64_t count) {
  return data ? std::span<const T>(data, size_t(count)) : std::span<const T>();
}

/// The struct_size that the caller filled in.
template <typename T> Status checkStruct(const T &value, std::string_view name) {
  if (value.struct_size == sizeof(T))
    return Status();
  return invalidArgument("{}: struct_size is {}, this library has {}; compile against its header",
                         name, value.struct_size, sizeof(T));
}

inline Result<DType> dtypeOf(int32_t value, std::string_view where) {
  if (value != GPTQC_F16 && value != GPTQC_BF16)
    return invalidArgument("{} is {}; use GPTQC_F16 or GPTQC_BF16", where, value);
  return value == GPTQC_F16 ? DType::F16 : DType::BF16;
}

/// Array lengths are products of these: bounded before they are multiplied.
inline Status checkDimensions(int64_t n, int64_t k, int64_t groups, std::string_view where) {
  constexpr int64_t kLimit = int64_t(1) << 31;
  for (int64_t size : {n, k, groups})
    if (size < 1 || size > kLimit)
      return invalidArgument("{}: n = {}, k = {}, groups = {} must be 1 to 2^31", where, n, k,
                             groups);
  return Status();
}

} // namespace gptqc::capi

#endif // GPTQC_RUNTIME_CAPI_CAPISUPPORT_H
