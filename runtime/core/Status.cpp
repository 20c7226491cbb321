// The names of the error codes.
#include "runtime/core/Status.h"

namespace gptqc {

std::string_view codeName(Code code) {
  switch (code) {
  case Code::Ok:
    return "ok";
  case Code::InvalidArgument:
    return "invalid_argument";
  case Code::Unsupported:
    return "unsupported";
  case Code::NotFound:
    return "not_found";
  case Code::CompileFailed:
    return "compile_failed";
  case Code::DeviceError:
    return "device_error";
  case Code::DataCorrupt:
    return "data_corrupt";
  case Code::IoError:
    return "io_error";
  case Code::Internal:
    return "internal";
  }
  return "unknown";
}

} // namespace gptqc
