// cuBLASLt by dlopen, with our own declarations of the few types and constants that are needed.
#include "runtime/device/CublasLt.h"

#include "runtime/device/CublasTypes.h"
#include "runtime/device/CudaLibrary.h"

namespace gptqc {
namespace {

using CublasLtHandle = void *;
using CublasLtObject = void *; // descriptors, layouts, preferences

/// cublasLtMatmulHeuristicResult_t.
struct CublasLtHeuristic {
  uint64_t algorithm[8];
  size_t workspaceSize;
  int state;
  float waves;
  int reserved[4];
};
static_assert(sizeof(CublasLtHeuristic) == 96);

// Values of the cuBLASLt enums.
constexpr int kDescTransA = 3, kOpTranspose = 1, kPreferenceMaxWorkspace = 1;

struct CublasLtApi {
#define X(name, parameters) int(*name) parameters = nullptr;
#include "runtime/device/CublasLt.def"
#undef X
};

Status resolve(const CudaLibrary &library, CublasLtApi &api) {
#define X(name, parameters) GPTQC_TRY(library.find(#name, api.name, "cuBLAS"));
#include "runtime/device/CublasLt.def"
#undef X
  return Status();
}

} // namespace

struct CublasLt::State {
  explicit State(const Device &on) : device(on) {}
  State(const State &) = delete;
  State &operator=(const State &) = delete;
  ~State() {
    const ContextScope scope(device);
    if (handle)
      (void)api.cublasLtDestroy(handle);
  }
  Device device;
  CublasLtApi api;
  CublasLtHandle handle = nullptr;
  std::string path;
};

const std::string &CublasLt::library() const { return state->path; }

Result<CublasLt> CublasLt::open(const Device &device, const std::string &path) {
  constexpr const char *kNames[] = {"libcublasLt.so.13", "libcublasLt.so.12"};
  GPTQC_ASSIGN(const CudaLibrary library,
               CudaLibrary::open(kNames, path,
                                 "set CUDA_HOME, name the library with --cublas, or measure "
                                 "without it (--no-dense)"));
  auto state = std::make_shared<State>(device);
  GPTQC_TRY(resolve(library, state->api));
  const ContextScope scope(device);
  GPTQC_TRY(checkCublas(state->api.cublasLtCreate(&state->handle), "cublasLtCreate"));
  state->path = library.path;
  CublasLt result;
  result.state = std::move(state);
  return result;
}

struct DenseGemm::Problem {
  explicit Problem(CublasLt on) : library(std::move(on)) {}
  Problem(const Problem &) = delete;
  Problem &operator=(const Problem &) = delete;
  ~Problem() {
    for (CublasLtObject layout : {w, x, y})
      if (layout)
        (void)api().cublasLtMatrixLayoutDestroy(layout);
    if (operation)
      (void)api().cublasLtMatmulDescDestroy(operation);
  }
  const CublasLtApi &api() const { return library.state->api; }

  CublasLt library;
  CublasLtObject operation = nullptr, w = nullptr, x = nullptr, y = nullptr;
  std::vector<CublasLtHeuristic> found;
};

/// Row-major matrices are column-major ones transposed: Y^T[N,M] = W[N,K] X^T[K,M], where the
/// library sees W as [K,N] with leading dimension K, to be transposed.
Result<DenseGemm> DenseGemm::create(const CublasLt &library, DType type, int64_t m, int64_t n,
                                    int64_t k, int count) {
  auto problem = std::make_shared<Problem>(library);
  Problem &p = *problem;
  const CublasLtApi &api = p.api();
  const ContextScope scope(library.state->device);
  const int dataType = type == DType::F16 ? kReal16F : kReal16BF;
  GPTQC_TRY(checkCublas(api.cublasLtMatmulDescCreate(&p.operation, kCompute32F, kReal32F),
                        "cublasLtMatmulDescCreate"));
  GPTQC_TRY(checkCublas(api.cublasLtMatmulDescSetAttribute(p.operation, kDescTransA, &kOpTranspose,
                                                           sizeof(kOpTranspose)),
                        "cublasLtMatmulDescSetAttribute"));
  const auto layout = [&](CublasLtObject &out, int64_t rows, int64_t columns) {
    return checkCublas(
        api.cublasLtMatrixLayoutCreate(&out, dataType, uint64_t(rows), uint64_t(columns), rows),
        "cublasLtMatrixLayoutCreate");
  };
  GPTQC_TRY(layout(p.w, k, n));
  GPTQC_TRY(layout(p.x, k, m));
  GPTQC_TRY(layout(p.y, n, m));

  CublasLtObject preference = nullptr;
  GPTQC_TRY(checkCublas(api.cublasLtMatmulPreferenceCreate(&preference),
                        "cublasLtMatmulPreferenceCreate"));
  const size_t workspace = size_t(kCublasLtWorkspace);
  Status status =
      checkCublas(api.cublasLtMatmulPreferenceSetAttribute(preference, kPreferenceMaxWorkspace,
                                                           &workspace, sizeof(workspace)),
                  "cublasLtMatmulPreferenceSetAttribute");
  int returned = 0;
  p.found.resize(size_t(count));
  if (status.ok())
    status = checkCublas(api.cublasLtMatmulAlgoGetHeuristic(library.state->handle, p.operation, p.w,
                                                            p.x, p.y, p.y, preference, count,
                                                            p.found.data(), &returned),
                         "cublasLtMatmulAlgoGetHeuristic");
  (void)api.cublasLtMatmulPreferenceDestroy(preference);
  GPTQC_TRY(status);
  p.found.resize(size_t(returned));
  std::erase_if(p.found, [](const CublasLtHeuristic &heuristic) { return heuristic.state != 0; });
  if (p.found.empty())
    return makeError(Code::Unsupported, "cuBLASLt has no algorithm for M = {}, N = {}, K = {}", m,
                     n, k);
  DenseGemm gemm;
  gemm.problem = std::move(problem);
  return gemm;
}

int DenseGemm::algorithms() const { return int(problem->found.size()); }

Status DenseGemm::run(int algorithm, CuDevicePtr w, CuDevicePtr x, CuDevicePtr y,
                      const DeviceBuffer &workspace, const Stream &stream) const {
  const Problem &p = *problem;
  const CublasLt::State &library = *p.library.state;
  const ContextScope scope(library.device);
  const float one = 1, zero = 0;
  const auto pointer = [](CuDevicePtr address) { return reinterpret_cast<void *>(address); };
  return checkCublas(p.api().cublasLtMatmul(
                         library.handle, p.operation, &one, pointer(w), p.w, pointer(x), p.x, &zero,
                         pointer(y), p.y, pointer(y), p.y, p.found[size_t(algorithm)].algorithm,
                         pointer(workspace.address()), size_t(workspace.bytes()), stream.handle()),
                     "cublasLtMatmul");
}

} // namespace gptqc
