// Compiles the solver's kernels and loads them.
#include "cli/SolverDevice.h"

#ifdef GPTQC_HAVE_COMPILE
#include "cli/check/CudaContext.h"
#include "runtime/solver/cuda/CudaSolver.h"
#include "runtime/solver/quantize/cuda/CudaCalibration.h"
#endif

namespace gptqc::cli {

#ifdef GPTQC_HAVE_COMPILE
namespace {

class CudaSolverDevice : public SolverDevice {
public:
  CudaSolverDevice(std::unique_ptr<CudaContext> context, std::unique_ptr<CudaSolver> solver)
      : context(std::move(context)), solver(std::move(solver)) {}

  std::string describe() const override { return context->describe(); }

  Result<LayerSolution> solve(std::span<const float> weights, int64_t n, int64_t k,
                              const Hessian &hessian, const SolverOptions &options,
                              std::string &times) override {
    GPTQC_TRY(validate(options));
    GPTQC_TRY(validate(hessian));
    GPTQC_ASSIGN(const CudaFactor factor, solver->factor(hessian, options));
    double milliseconds = 0;
    Result<LayerSolution> solution = solver->solve(weights, n, k, factor, options, &milliseconds);
    times = fmt::format("Cholesky chain {:.1f} ms, column loop {:.1f} ms", factor.milliseconds,
                        milliseconds);
    return solution;
  }

  Result<CalibrationFactory> calibration() override {
    GPTQC_ASSIGN(const KernelImage image,
                 context->supportImage(ModelKernels::kFile, ModelKernels::kEntry));
    return cudaCalibration(*solver, context->device(), image);
  }

private:
  std::unique_ptr<CudaContext> context;
  std::unique_ptr<CudaSolver> solver;
};

} // namespace

Result<std::unique_ptr<SolverDevice>> openSolverDevice() {
  GPTQC_ASSIGN(std::unique_ptr<CudaContext> context, CudaContext::create({}));
  GPTQC_ASSIGN(const KernelImage image,
               context->supportImage(CudaSolver::kFile, "quantize_columns"));
  GPTQC_ASSIGN(std::unique_ptr<CudaSolver> solver, CudaSolver::create(context->device(), image));
  return std::unique_ptr<SolverDevice>(
      std::make_unique<CudaSolverDevice>(std::move(context), std::move(solver)));
}
#else
Result<std::unique_ptr<SolverDevice>> openSolverDevice() {
  return makeError(Code::Unsupported, "this build has no kernel compiler; use --device cpu");
}
#endif

} // namespace gptqc::cli
