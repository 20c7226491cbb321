// The core of `gptqc bench`: checks and times descriptors on a GPU.
#ifndef GPTQC_CLI_BENCH_CUDABENCH_H
#define GPTQC_CLI_BENCH_CUDABENCH_H

#include <functional>
#include <memory>

#include "cli/bench/BenchPoint.h"
#include "cli/bench/BenchReport.h"
#include "cli/bench/Competitors.h"

namespace gptqc::cli {

struct BenchOptions {
  RunnerOptions runner;
  std::vector<int64_t> tokens; ///< empty: the upper end of each descriptor's range
  double budgetMilliseconds = 50;
  bool dense = true;              ///< measure cuBLASLt too
  std::string cublasPath;         ///< empty: searched for
  std::optional<PeerTable> peers; ///< nothing: the table that ships for the GPU
  uint64_t seed = 1;
  /// Time nothing: each kernel, and cuBLASLt's, runs once where a profiler looks.
  bool profile = false;

  /// Schedules come from tuning records, so the cost model's own ones are measured beside them.
  bool comparesDefaults() const { return runner.kernels.tuned && !profile; }
};

class CudaBench {
public:
  /// DeviceError without a GPU, NotFound without cuBLASLt unless options.dense is off.
  static Result<std::unique_ptr<CudaBench>> create(const BenchOptions &options);
  ~CudaBench();

  const BenchHead &head() const { return reportHead; }
  const BenchOptions &settings() const { return options; }
  const CudaContext &cuda() const { return *context; }
  const CudaReference &checker() const { return *reference; }
  std::optional<MachineLimits> limits() const;
  /// "h200"; "gpu" when the device has no short name.
  std::string deviceName() const;

  /// Compiles all kernels first, then measures point by point; `report` sees each as it is known. A
  /// point that fails holds its error and the others go on.
  std::vector<BenchRow> run(const std::vector<Descriptor> &descriptors,
                            const std::function<void(const BenchRow &)> &report);

  /// The dense yardstick for one point, checked; only with options.dense. Borrows the weights and
  /// the point.
  Result<DenseRun> makeDense(const GraphTimer &timer, const Descriptor &descriptor,
                             const BenchPoint &point, const DenseWeights &weights) const;

private:
  struct LayerSet;
  CudaBench() = default;

  Status prepareLayer(const Descriptor &descriptor);
  Status runProfiled(const std::vector<Workload> &workloads) const;
  Status measure(const LinearKernel &kernel, const LinearKernel *untuned, BenchRow &row);

  BenchOptions options;
  BenchHead reportHead;
  std::unique_ptr<CudaContext> context;
  std::optional<CudaReference> reference;
  std::optional<ReadFloor> floor;
  std::optional<CublasLt> cublas;
  std::unique_ptr<LayerSet> layers; ///< of the descriptor measured last
};

} // namespace gptqc::cli

#endif // GPTQC_CLI_BENCH_CUDABENCH_H
