// Bench: one layer at a time, in as many copies as the cache needs; each point is checked, then
// timed.
#include "cli/bench/CudaBench.h"

#include "runtime/core/Version.h"
#include "runtime/cpu/Compare.h"

namespace gptqc::cli {

struct CudaBench::LayerSet {
  BenchLayer layer;
  std::optional<DenseWeights> dense;
};

CudaBench::~CudaBench() = default;

Result<std::unique_ptr<CudaBench>> CudaBench::create(const BenchOptions &options) {
  std::unique_ptr<CudaBench> bench(new CudaBench);
  bench->options = options;
  GPTQC_ASSIGN(bench->context, CudaContext::create(options.runner));
  const CudaContext &context = *bench->context;
  GPTQC_ASSIGN(CudaReference reference, CudaReference::create(context));
  bench->reference.emplace(std::move(reference));
  GPTQC_ASSIGN(ReadFloor floor, ReadFloor::create(context));
  bench->floor.emplace(std::move(floor));
  bench->reportHead.dense = "not measured";
  if (options.dense) {
    GPTQC_ASSIGN(bench->cublas, CublasLt::open(context.device(), options.cublasPath));
    bench->reportHead.dense = std::filesystem::path(bench->cublas->library()).filename().string();
  }
  bench->reportHead.device = context.describe();
  bench->reportHead.commit = std::string(versionCommit());
  bench->reportHead.compiler = context.compilerName();
  bench->reportHead.budgetMilliseconds = options.budgetMilliseconds;
  bench->reportHead.seed = options.seed;
  return bench;
}

std::optional<MachineLimits> CudaBench::limits() const {
  return limitsOf(context->device().target().name);
}

std::string CudaBench::deviceName() const {
  const std::string &name = context->device().target().name;
  return name.empty() ? "gpu" : name;
}

/// Makes `layers` hold this descriptor's layer; keeps it when it does already.
Status CudaBench::prepareLayer(const Descriptor &descriptor) {
  if (layers && layers->layer.serves(descriptor))
    return {};
  layers.reset(); // frees the memory of the layer before
  GPTQC_ASSIGN(BenchLayer layer,
               BenchLayer::create(*context, descriptor, options.seed, options.runner.threads));
  auto set = std::make_unique<LayerSet>(LayerSet{std::move(layer), std::nullopt});
  if (cublas && !descriptor.grouped()) { // cuBLASLt has no grouped problems
    GPTQC_ASSIGN(DenseWeights dense, DenseWeights::create(*context, set->layer.matrix().descriptor,
                                                          set->layer.plain()));
    set->dense.emplace(std::move(dense));
  }
  layers = std::move(set);
  return {};
}

/// It must be right too where it computes the same; split-K algorithms may round partial sums to 16
/// bits, hence no limit on the norm.
Result<DenseRun> CudaBench::makeDense(const GraphTimer &timer, const Descriptor &d,
                                      const BenchPoint &point, const DenseWeights &weights) const {
  GPTQC_ASSIGN(DenseRun run, DenseRun::create(*context, timer, *cublas, d, point.tokens(), weights,
                                              point.activations()));
  if (d.bias || d.siluMul)
    return run;
  Descriptor plain = d;
  plain.out = d.act;
  GPTQC_ASSIGN(const std::vector<uint16_t> values, point.sampledRows(run.output(), d.n));
  const Comparison result = compareOutput(plain, point.reference(), values.data(), d.n);
  if (result.failures > 0)
    return makeError(Code::Internal, "cuBLASLt's result is wrong: {}", result.explain());
  return run;
}

Status CudaBench::runProfiled(const std::vector<Workload> &workloads) const {
  GPTQC_TRY(context->device().startProfiler());
  for (const Workload &workload : workloads)
    GPTQC_TRY(workload.launch(0));
  return context->device().stopProfiler();
}

/// `untuned`: the kernel of the cost model's schedule, to be measured too; null: not wanted.
Status CudaBench::measure(const LinearKernel &linear, const LinearKernel *untuned, BenchRow &row) {
  const Descriptor &d = linear.descriptor();
  const GraphTimer timer(context->stream(), options.budgetMilliseconds);
  GPTQC_ASSIGN(const BenchPoint point,
               BenchPoint::create(*context, *reference, layers->layer, row.m, options.seed,
                                  options.runner.threads));
  GPTQC_ASSIGN(PointKernel kernel, PointKernel::create(point, linear));
  GPTQC_ASSIGN(row.relativeFrobenius, kernel.check());

  std::vector<Workload> workloads;
  workloads.push_back(kernel.workload());
  std::optional<DenseRun> dense;
  if (layers->dense) {
    Result<DenseRun> created = makeDense(timer, d, point, *layers->dense);
    if (created) {
      dense.emplace(std::move(*created));
      workloads.push_back(dense->workload(*context));
    } else {
      row.note = created.status().message(); // our own time still counts
    }
  }
  if (options.profile)
    return runProfiled(workloads);
  GPTQC_ASSIGN(Workload read, floor->workload(*context, timer, problemBytes(d, row.m)));
  workloads.push_back(std::move(read));
  std::optional<PointKernel> standard;
  if (untuned && untuned->schedule() != linear.schedule()) {
    GPTQC_ASSIGN(standard, PointKernel::create(point, *untuned));
    GPTQC_TRY(standard->check().status());
    workloads.push_back(standard->workload());
  }
  GPTQC_ASSIGN(const std::vector<Timing> timings, timer.measure(workloads));
  row.time = timings[0];
  if (dense)
    row.dense = timings[1];
  row.floor = timings[dense ? 2 : 1];
  if (untuned)
    row.untuned = standard ? timings.back() : row.time;
  return {};
}

std::vector<BenchRow> CudaBench::run(const std::vector<Descriptor> &descriptors,
                                     const std::function<void(const BenchRow &)> &report) {
  std::vector<BenchRow> rows;
  std::vector<Descriptor> wanted;
  for (const Descriptor &descriptor : descriptors) {
    for (int64_t m : benchTokens(descriptor, options.tokens)) {
      BenchRow row;
      row.m = m;
      row.descriptor = descriptor;
      row.descriptor.m = kernelRange(descriptor, m);
      wanted.push_back(row.descriptor);
      rows.push_back(std::move(row));
    }
  }
  const PeerTable peers = options.peers ? *options.peers : PeerTable::builtIn(deviceName());
  const std::vector<Result<LinearKernel>> kernels = context->kernels(wanted);
  std::vector<Result<LinearKernel>> defaults;
  if (options.comparesDefaults())
    defaults = context->untunedKernels(wanted);
  for (size_t i = 0; i < rows.size(); ++i) {
    BenchRow &row = rows[i];
    row.error = kernels[i].status();
    if (row.error.ok()) {
      row.schedule = kernels[i]->schedule();
      row.error = prepareLayer(row.descriptor);
    }
    if (row.error.ok() && !defaults.empty())
      row.error = defaults[i].status();
    if (row.error.ok())
      row.error = measure(*kernels[i], defaults.empty() ? nullptr : &*defaults[i], row);
    if (const std::optional<MachineLimits> machine = limits())
      row.limit = limitMicroseconds(*machine, row.descriptor, row.m);
    if (const PeerTime *peer = peers.find(row.descriptor, row.m))
      row.peer = *peer;
    report(row);
  }
  return rows;
}

} // namespace gptqc::cli
