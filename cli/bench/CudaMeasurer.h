// The tuner's Measurer on a GPU: the same layers, checks and graphs as `gptqc bench`.
#ifndef GPTQC_CLI_BENCH_CUDAMEASURER_H
#define GPTQC_CLI_BENCH_CUDAMEASURER_H

#include <memory>
#include <optional>
#include <vector>

#include "autotune/Measurer.h"
#include "cli/bench/BenchPoint.h"

namespace gptqc::cli {

class CudaMeasurer : public Measurer {
public:
  /// DeviceError without a usable GPU.
  static Result<std::unique_ptr<CudaMeasurer>> create(const RunnerOptions &options, uint64_t seed);

  const CudaContext &cuda() const { return *context; }
  const Target &target() const override { return context->device().target(); }
  std::string_view method() const override { return "cold"; }
  Status open(const Descriptor &point) override;
  Result<int> add(const KernelImage &image) override;
  Result<double> sample(int kernel) override;

private:
  CudaMeasurer() = default;

  /// Graphs go before the kernels that they launch.
  struct Entry {
    std::unique_ptr<PointKernel> kernel;
    std::optional<TimedGraph> graph;
  };

  RunnerOptions options;
  uint64_t seed = 1;
  std::unique_ptr<CudaContext> context;
  std::optional<CudaReference> reference;
  std::unique_ptr<BenchLayer> layer;
  std::unique_ptr<BenchPoint> point;
  std::vector<Entry> entries;
};

} // namespace gptqc::cli

#endif // GPTQC_CLI_BENCH_CUDAMEASURER_H
