// The libraries are column-major: they see our matrices transposed, so a lower triangle is an upper
// one to them.
#include "runtime/solver/cuda/CudaMath.h"

#include <dlfcn.h>

#include "runtime/device/CudaLibrary.h"

namespace gptqc {
namespace {

// Values of the cuBLAS and CUDA enums.
constexpr int kNoTranspose = 0, kTranspose = 1, kSideRight = 1, kLower = 0, kUpper = 1,
              kNonUnit = 0, kReal32F = 0;
constexpr const char *kRemedy = "set CUDA_HOME, or use --device cpu";

struct Api {
#define X(library, name, parameters) int(*name) parameters = nullptr;
#include "runtime/solver/cuda/CudaMath.def"
#undef X
};

/// Fills the table; the name of the first symbol that is missing, or null.
const char *resolve(void *blas, void *solver, Api &api) {
#define X(library, name, parameters)                                                               \
  api.name = reinterpret_cast<int(*) parameters>(dlsym(library, #name));                           \
  if (!api.name)                                                                                   \
    return #name;
#include "runtime/solver/cuda/CudaMath.def"
#undef X
  return nullptr;
}

Status check(int result, const char *function) {
  if (result == 0)
    return {};
  return makeError(Code::DeviceError, "{} failed with status {}", function, result);
}

float *floats(CuDevicePtr address) { return reinterpret_cast<float *>(address); }

} // namespace

struct CudaMath::State {
  explicit State(const Stream &stream) : stream(stream) {}
  State(const State &) = delete;
  State &operator=(const State &) = delete;
  ~State() {
    const ContextScope scope(stream.device());
    if (blas)
      (void)api.cublasDestroy_v2(blas);
    if (solver)
      (void)api.cusolverDnDestroy(solver);
  }
  const Stream &stream;
  Api api;
  void *blas = nullptr, *solver = nullptr;
};

Result<CudaMath> CudaMath::open(const Stream &stream) {
  constexpr const char *kBlas[] = {"libcublas.so.13", "libcublas.so.12"};
  constexpr const char *kSolver[] = {"libcusolver.so.12", "libcusolver.so.11"};
  GPTQC_ASSIGN(const CudaLibrary blas, CudaLibrary::open(kBlas, "", kRemedy));
  GPTQC_ASSIGN(const CudaLibrary solver, CudaLibrary::open(kSolver, "", kRemedy));
  auto state = std::make_shared<State>(stream);
  if (const char *missing = resolve(blas.handle, solver.handle, state->api))
    return makeError(Code::NotFound, "{} and {}: no symbol {}; use CUDA 12 or 13", blas.path,
                     solver.path, missing);
  const ContextScope scope(stream.device());
  const Api &api = state->api;
  GPTQC_TRY(check(api.cublasCreate_v2(&state->blas), "cublasCreate"));
  GPTQC_TRY(check(api.cusolverDnCreate(&state->solver), "cusolverDnCreate"));
  GPTQC_TRY(check(api.cublasSetStream_v2(state->blas, stream.handle()), "cublasSetStream"));
  GPTQC_TRY(check(api.cusolverDnSetStream(state->solver, stream.handle()), "cusolverDnSetStream"));
  CudaMath math;
  math.state = std::move(state);
  return math;
}

Result<bool> CudaMath::cholesky(int64_t n, CuDevicePtr a) const {
  const ContextScope scope(state->stream.device());
  const Device &device = state->stream.device();
  const int size = int(n);
  int count = 0;
  GPTQC_TRY(check(
      state->api.cusolverDnSpotrf_bufferSize(state->solver, kUpper, size, floats(a), size, &count),
      "cusolverDnSpotrf_bufferSize"));
  GPTQC_ASSIGN(const DeviceBuffer work, DeviceBuffer::allocate(device, int64_t(count) * 4));
  GPTQC_ASSIGN(const DeviceBuffer info, DeviceBuffer::allocateZeroed(device, 4));
  GPTQC_TRY(check(state->api.cusolverDnSpotrf(state->solver, kUpper, size, floats(a), size,
                                              floats(work.address()), count,
                                              reinterpret_cast<int *>(info.address())),
                  "cusolverDnSpotrf"));
  GPTQC_TRY(state->stream.synchronize());
  GPTQC_ASSIGN(const std::vector<int32_t> result, info.download<int32_t>());
  return result[0] == 0;
}

Status CudaMath::invertLower(int64_t n, CuDevicePtr a) const {
  const ContextScope scope(state->stream.device());
  const Device &device = state->stream.device();
  size_t onDevice = 0, onHost = 0;
  void *matrix = floats(a);
  GPTQC_TRY(check(state->api.cusolverDnXtrtri_bufferSize(state->solver, kUpper, kNonUnit, n,
                                                         kReal32F, matrix, n, &onDevice, &onHost),
                  "cusolverDnXtrtri_bufferSize"));
  GPTQC_ASSIGN(const DeviceBuffer work, DeviceBuffer::allocate(device, int64_t(onDevice)));
  GPTQC_ASSIGN(const DeviceBuffer info, DeviceBuffer::allocateZeroed(device, 4));
  std::vector<uint8_t> host(onHost);
  GPTQC_TRY(check(state->api.cusolverDnXtrtri(state->solver, kUpper, kNonUnit, n, kReal32F, matrix,
                                              n, floats(work.address()), onDevice, host.data(),
                                              onHost, reinterpret_cast<int *>(info.address())),
                  "cusolverDnXtrtri"));
  return state->stream.synchronize(); // before the workspace goes
}

Status CudaMath::subtractProduct(int64_t m, int64_t n, int64_t k, CuDevicePtr a, int64_t lda,
                                 CuDevicePtr b, int64_t ldb, CuDevicePtr c, int64_t ldc) const {
  const ContextScope scope(state->stream.device());
  const float minusOne = -1, one = 1;
  return check(state->api.cublasSgemm_v2(state->blas, kNoTranspose, kNoTranspose, int(n), int(m),
                                         int(k), &minusOne, floats(b), int(ldb), floats(a),
                                         int(lda), &one, floats(c), int(ldc)),
               "cublasSgemm");
}

Status CudaMath::solveRight(int64_t rows, int64_t n, CuDevicePtr u, CuDevicePtr b) const {
  const ContextScope scope(state->stream.device());
  const float one = 1;
  return check(state->api.cublasStrsm_v2(state->blas, kSideRight, kLower, kTranspose, kNonUnit,
                                         int(rows), int(n), &one, floats(u), int(n), floats(b),
                                         int(rows)),
               "cublasStrsm");
}

} // namespace gptqc
