// The library is column-major: it sees our matrices transposed.
#include "runtime/device/Cublas.h"

#include <algorithm>

#include "runtime/device/CublasTypes.h"
#include "runtime/device/CudaLibrary.h"

namespace gptqc {
namespace {

// Values of the cuBLAS and CUDA enums.
constexpr int kNoTranspose = 0, kTranspose = 1, kSideLeft = 0, kLower = 0, kNonUnit = 0,
              kDefaultAlgorithm = -1;

struct CublasApi {
#define X(name, parameters) int(*name) parameters = nullptr;
#include "runtime/device/Cublas.def"
#undef X
};

Status resolve(const CudaLibrary &library, CublasApi &api) {
#define X(name, parameters) GPTQC_TRY(library.find(#name, api.name, "cuBLAS"));
#include "runtime/device/Cublas.def"
#undef X
  return Status();
}

int typeOf(DType type) { return type == DType::F16 ? kReal16F : kReal16BF; }
const void *pointer(CuDevicePtr address) { return reinterpret_cast<const void *>(address); }

float *floats(CuDevicePtr address) { return reinterpret_cast<float *>(address); }

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
  CublasApi api;
  void *handle = nullptr;
};

Result<Cublas> Cublas::open(const Stream &stream, const std::string &path) {
  constexpr const char *kNames[] = {"libcublas.so.13", "libcublas.so.12"};
  GPTQC_ASSIGN(const CudaLibrary library,
               CudaLibrary::open(kNames, path, "set CUDA_HOME, or use --device cpu"));
  auto state = std::make_shared<State>(stream);
  GPTQC_TRY(resolve(library, state->api));
  const ContextScope scope(stream.device());
  GPTQC_TRY(checkCublas(state->api.cublasCreate_v2(&state->handle), "cublasCreate"));
  GPTQC_TRY(checkCublas(state->api.cublasSetStream_v2(state->handle, stream.handle()),
                        "cublasSetStream"));
  Cublas result;
  result.state = std::move(state);
  return result;
}

Status Cublas::product(DType type, const DeviceMatrix &x, const DeviceMatrix &w,
                       const DeviceMatrix &y, bool wide) const {
  const ContextScope scope(state->stream.device());
  const float one = 1, zero = 0;
  return checkCublas(
      state->api.cublasGemmEx(state->handle, kTranspose, kNoTranspose, int(w.rows), int(x.rows),
                              int(x.columns), &one, pointer(w.data), typeOf(type), int(w.stride),
                              pointer(x.data), typeOf(type), int(x.stride), &zero,
                              const_cast<void *>(pointer(y.data)), wide ? kReal32F : typeOf(type),
                              int(y.stride), kCompute32F, kDefaultAlgorithm),
      "cublasGemmEx");
}

Status Cublas::addGram(DType type, const DeviceMatrix &x, CuDevicePtr sum) const {
  // Panels of rows as far as the diagonal: with p of them (p + 1) / 2p of the whole product.
  constexpr int64_t kPanel = 2048, kMostPanels = 8, kTile = 256;
  const ContextScope scope(state->stream.device());
  const float one = 1;
  const int64_t k = x.columns, panels = std::clamp<int64_t>(k / kPanel, 1, kMostPanels);
  const int64_t step = (k + panels * kTile - 1) / (panels * kTile) * kTile;
  for (int64_t first = 0; first < k; first += step) {
    const int64_t end = std::min(first + step, k);
    GPTQC_TRY(checkCublas(
        state->api.cublasGemmEx(state->handle, kNoTranspose, kTranspose, int(end), int(end - first),
                                int(x.rows), &one, pointer(x.data), typeOf(type), int(x.stride),
                                pointer(x.data + uint64_t(first * 2)), typeOf(type), int(x.stride),
                                &one, const_cast<void *>(pointer(sum + uint64_t(first * k * 4))),
                                kReal32F, int(k), kCompute32F, kDefaultAlgorithm),
        "cublasGemmEx"));
  }
  return Status();
}

Status Cublas::subtractProduct(const DeviceMatrix &a, const DeviceMatrix &b,
                               const DeviceMatrix &c) const {
  const ContextScope scope(state->stream.device());
  const float minusOne = -1, one = 1;
  return checkCublas(state->api.cublasSgemm_v2(
                         state->handle, kNoTranspose, kNoTranspose, int(c.columns), int(c.rows),
                         int(a.columns), &minusOne, floats(b.data), int(b.stride), floats(a.data),
                         int(a.stride), &one, floats(c.data), int(c.stride)),
                     "cublasSgemm");
}

Status Cublas::solveRight(int64_t rows, int64_t n, CuDevicePtr u, CuDevicePtr b) const {
  const ContextScope scope(state->stream.device());
  const float one = 1;
  return checkCublas(state->api.cublasStrsm_v2(state->handle, kSideLeft, kLower, kNoTranspose,
                                               kNonUnit, int(n), int(rows), &one, floats(u), int(n),
                                               floats(b), int(n)),
                     "cublasStrsm");
}

} // namespace gptqc
