// The library is column-major: it sees our matrices transposed.
#include "runtime/device/Cublas.h"

#include <dlfcn.h>

#include "runtime/device/CudaLibrary.h"

namespace gptqc {
namespace {

// Values of the cuBLAS and CUDA enums.
constexpr int kNoTranspose = 0, kTranspose = 1, kReal32F = 0, kReal16F = 2, kReal16BF = 14,
              kCompute32F = 68, kDefaultAlgorithm = -1;

struct Api {
#define X(name, parameters) int(*name) parameters = nullptr;
#include "runtime/device/Cublas.def"
#undef X
};

/// Fills the table; the name of the first symbol that is missing, or null.
const char *resolve(void *library, Api &api) {
#define X(name, parameters)                                                                        \
  api.name = reinterpret_cast<int(*) parameters>(dlsym(library, #name));                           \
  if (!api.name)                                                                                   \
    return #name;
#include "runtime/device/Cublas.def"
#undef X
  return nullptr;
}

Status check(int result, const char *function) {
  if (result == 0)
    return {};
  return makeError(Code::DeviceError, "{} failed with status {}", function, result);
}

int typeOf(DType type) { return type == DType::F16 ? kReal16F : kReal16BF; }
const void *pointer(CuDevicePtr address) { return reinterpret_cast<const void *>(address); }

} // namespace

struct Cublas::State {
  explicit State(const Stream &stream) : stream(stream) {}
  State(const State &) = delete;
  State &operator=(const State &) = delete;
  ~State() {
    const ContextScope scope(stream.device());
    if (handle)
      (void)api.cublasDestroy_v2(handle);
  }
  const Stream &stream;
  Api api;
  void *handle = nullptr;
};

Result<Cublas> Cublas::open(const Stream &stream, const std::string &path) {
  constexpr const char *kNames[] = {"libcublas.so.13", "libcublas.so.12"};
  GPTQC_ASSIGN(const CudaLibrary library,
               CudaLibrary::open(kNames, path, "set CUDA_HOME, or use --device cpu"));
  auto state = std::make_shared<State>(stream);
  if (const char *missing = resolve(library.handle, state->api))
    return makeError(Code::NotFound, "{}: no symbol {}; use cuBLAS 12 or 13", library.path,
                     missing);
  const ContextScope scope(stream.device());
  GPTQC_TRY(check(state->api.cublasCreate_v2(&state->handle), "cublasCreate"));
  GPTQC_TRY(
      check(state->api.cublasSetStream_v2(state->handle, stream.handle()), "cublasSetStream"));
  Cublas result;
  result.state = std::move(state);
  return result;
}

Status Cublas::product(DType type, const DeviceMatrix &x, const DeviceMatrix &w,
                       const DeviceMatrix &y, bool wide) const {
  const ContextScope scope(state->stream.device());
  const float one = 1, zero = 0;
  return check(state->api.cublasGemmEx(state->handle, kTranspose, kNoTranspose, int(w.rows),
                                       int(x.rows), int(x.columns), &one, pointer(w.data),
                                       typeOf(type), int(w.stride), pointer(x.data), typeOf(type),
                                       int(x.stride), &zero, const_cast<void *>(pointer(y.data)),
                                       wide ? kReal32F : typeOf(type), int(y.stride), kCompute32F,
                                       kDefaultAlgorithm),
               "cublasGemmEx");
}

Status Cublas::addGram(DType type, const DeviceMatrix &x, CuDevicePtr sum) const {
  const ContextScope scope(state->stream.device());
  const float one = 1;
  const int k = int(x.columns);
  return check(state->api.cublasGemmEx(state->handle, kNoTranspose, kTranspose, k, k, int(x.rows),
                                       &one, pointer(x.data), typeOf(type), int(x.stride),
                                       pointer(x.data), typeOf(type), int(x.stride), &one,
                                       const_cast<void *>(pointer(sum)), kReal32F, k, kCompute32F,
                                       kDefaultAlgorithm),
               "cublasGemmEx");
}

} // namespace gptqc
