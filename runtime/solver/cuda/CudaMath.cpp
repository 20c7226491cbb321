// The library is column-major: it sees our matrices transposed, so a lower triangle is an upper one
// to it.
#include "runtime/solver/cuda/CudaMath.h"

#include "runtime/device/CudaLibrary.h"

namespace gptqc {
namespace {

// Values of the cuBLAS and CUDA enums that cuSOLVER takes.
constexpr int kUpper = 1, kNonUnit = 0, kReal32F = 0;

struct Api {
#define X(name, parameters) int(*name) parameters = nullptr;
#include "runtime/solver/cuda/CudaMath.def"
#undef X
};

Status resolve(const CudaLibrary &library, Api &api) {
#define X(name, parameters) GPTQC_TRY(library.find(#name, api.name, "CUDA"));
#include "runtime/solver/cuda/CudaMath.def"
#undef X
  return Status();
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
    if (solver)
      (void)api.cusolverDnDestroy(solver);
  }

  const Stream &stream;
  Api api;
  void *solver = nullptr;
  DeviceBuffer work, info;
  std::vector<uint8_t> hostWork;
};

Result<CudaMath> CudaMath::open(const Stream &stream, const std::string &path) {
  constexpr const char *kNames[] = {"libcusolver.so.12", "libcusolver.so.11"};
  GPTQC_ASSIGN(const CudaLibrary library,
               CudaLibrary::open(kNames, path, "set CUDA_HOME, or use --device cpu"));
  auto state = std::make_shared<State>(stream);
  GPTQC_TRY(resolve(library, state->api));
  const ContextScope scope(stream.device());
  const Api &api = state->api;
  GPTQC_TRY(check(api.cusolverDnCreate(&state->solver), "cusolverDnCreate"));
  GPTQC_TRY(check(api.cusolverDnSetStream(state->solver, stream.handle()), "cusolverDnSetStream"));
  GPTQC_ASSIGN(state->info, DeviceBuffer::allocate(stream.device(), 4));
  CudaMath math;
  math.state = std::move(state);
  return math;
}

Result<bool> CudaMath::cholesky(int64_t n, CuDevicePtr a) const {
  State &s = *state;
  const ContextScope scope(s.stream.device());
  const int size = int(n);
  int count = 0;
  GPTQC_TRY(
      check(s.api.cusolverDnSpotrf_bufferSize(s.solver, kUpper, size, floats(a), size, &count),
            "cusolverDnSpotrf_bufferSize"));
  GPTQC_TRY(s.work.reserve(s.stream.device(), int64_t(count) * 4));
  GPTQC_TRY(check(s.api.cusolverDnSpotrf(s.solver, kUpper, size, floats(a), size,
                                         floats(s.work.address()), count,
                                         reinterpret_cast<int *>(s.info.address())),
                  "cusolverDnSpotrf"));
  GPTQC_TRY(s.stream.synchronize());
  GPTQC_ASSIGN(const std::vector<int32_t> result, s.info.download<int32_t>());
  return result[0] == 0;
}

Status CudaMath::invertLower(int64_t n, CuDevicePtr a) const {
  State &s = *state;
  const ContextScope scope(s.stream.device());
  size_t onDevice = 0, onHost = 0;
  void *matrix = floats(a);
  GPTQC_TRY(check(s.api.cusolverDnXtrtri_bufferSize(s.solver, kUpper, kNonUnit, n, kReal32F, matrix,
                                                    n, &onDevice, &onHost),
                  "cusolverDnXtrtri_bufferSize"));
  GPTQC_TRY(s.work.reserve(s.stream.device(), int64_t(onDevice)));
  s.hostWork.resize(onHost);
  return check(s.api.cusolverDnXtrtri(s.solver, kUpper, kNonUnit, n, kReal32F, matrix, n,
                                      floats(s.work.address()), onDevice, s.hostWork.data(), onHost,
                                      reinterpret_cast<int *>(s.info.address())),
               "cusolverDnXtrtri");
}

} // namespace gptqc
