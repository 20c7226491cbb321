// One point at a time; a layer is kept for the points that differ in M alone.
#include "cli/bench/CudaMeasurer.h"

namespace gptqc::cli {
namespace {

/// Of one kernel in all its rounds; replays of less than 0.3 ms feel the clock of the events.
constexpr double kMillisecondsPerKernel = 6;

} // namespace

Result<std::unique_ptr<CudaMeasurer>> CudaMeasurer::create(const RunnerOptions &options,
                                                           uint64_t seed) {
  std::unique_ptr<CudaMeasurer> measurer(new CudaMeasurer);
  measurer->options = options;
  measurer->seed = seed;
  GPTQC_ASSIGN(measurer->context, CudaContext::create(options));
  GPTQC_ASSIGN(CudaReference reference, CudaReference::create(*measurer->context));
  measurer->reference.emplace(std::move(reference));
  return measurer;
}

Status CudaMeasurer::open(const Descriptor &descriptor) {
  entries.clear();
  point.reset();
  if (!layer || !layer->serves(descriptor)) {
    layer.reset(); // frees the memory of the layer before
    GPTQC_ASSIGN(BenchLayer made, BenchLayer::create(*context, descriptor, seed, options.threads));
    layer = std::make_unique<BenchLayer>(std::move(made));
  }
  GPTQC_ASSIGN(BenchPoint made,
               BenchPoint::create(*context, *reference, *layer, benchTokens(descriptor, {}).front(),
                                  seed, options.threads));
  point = std::make_unique<BenchPoint>(std::move(made));
  return Status();
}

Result<int> CudaMeasurer::add(const KernelImage &image) {
  GPTQC_ASSIGN(LinearKernel linear, LinearKernel::load(context->device(), image));
  GPTQC_ASSIGN(PointKernel kernel, PointKernel::create(*point, std::move(linear)));
  Entry entry;
  entry.kernel = std::make_unique<PointKernel>(std::move(kernel));
  GPTQC_TRY(entry.kernel->check().status());
  const GraphTimer timer(context->stream(), kMillisecondsPerKernel);
  GPTQC_ASSIGN(TimedGraph graph, timer.prepare(entry.kernel->workload()));
  entry.graph.emplace(std::move(graph));
  entries.push_back(std::move(entry));
  return int(entries.size()) - 1;
}

Result<double> CudaMeasurer::sample(int kernel) {
  const GraphTimer timer(context->stream(), kMillisecondsPerKernel);
  return timer.sample(*entries[size_t(kernel)].graph);
}

} // namespace gptqc::cli
