// Bench: one layer at a time, in as many copies as the cache needs; each point is checked, then
// timed.
#include "cli/bench/CudaBench.h"

#include <algorithm>

#include "runtime/core/Version.h"
#include "runtime/cpu/Compare.h"
#include "runtime/cpu/Synthetic.h"

namespace gptqc::cli {
namespace {

constexpr int64_t kSampledRows = 64; ///< rows of Y that are compared with the reference

/// The weights do not depend on M: points that differ in it alone share a layer.
Descriptor layerOf(const Descriptor &descriptor) {
  Descriptor layer = descriptor.canonical();
  layer.m = {1, kUnboundedM};
  layer.batchInvariant = false;
  return layer;
}

/// Rows `rows` of a matrix on the GPU.
Result<std::vector<uint16_t>> readRows(const DeviceBuffer &buffer, const std::vector<int64_t> &rows,
                                       int64_t columns) {
  std::vector<uint16_t> values(rows.size() * size_t(columns));
  for (size_t i = 0; i < rows.size(); ++i)
    GPTQC_TRY(buffer.read(values.data() + i * size_t(columns), columns * 2, rows[i] * columns * 2));
  return values;
}

} // namespace

struct CudaBench::LayerSet {
  Descriptor key;
  QuantizedMatrix matrix;
  PlainLayer plain;
  std::vector<DeviceLayer> copies;
  std::optional<DenseWeights> dense;
};

/// Some rows of Y and what they should be.
struct CudaBench::Sample {
  std::vector<int64_t> rows;
  Reference reference;
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
  const Descriptor key = layerOf(descriptor);
  if (layers && layers->key == key)
    return {};
  layers.reset(); // frees the memory of the layer before
  auto set = std::make_unique<LayerSet>();
  const Device &device = context->device();
  set->key = key;
  GPTQC_ASSIGN(set->matrix, syntheticLayer(key, options.seed, options.runner.threads));
  GPTQC_ASSIGN(set->plain, PlainLayer::upload(device, set->matrix));
  GPTQC_ASSIGN(DeviceLayer first, DeviceLayer::fromCodes(device, context->repack(), set->matrix));
  const int copies = rotationCopies(first.bytes(), device.info().l2Bytes);
  GPTQC_ASSIGN(const PackedWeights packed, first.download());
  set->copies.push_back(std::move(first));
  for (int i = 1; i < copies; ++i) {
    GPTQC_ASSIGN(DeviceLayer copy, DeviceLayer::upload(device, packed));
    set->copies.push_back(std::move(copy));
  }
  if (cublas) {
    GPTQC_ASSIGN(DenseWeights dense, DenseWeights::create(*context, key, set->plain));
    set->dense.emplace(std::move(dense));
  }
  layers = std::move(set);
  return {};
}

/// Up to 64 rows from the first to the last.
Result<CudaBench::Sample> CudaBench::takeSample(const std::vector<uint16_t> &x, int64_t m) const {
  const int64_t k = layers->key.k, count = std::min(m, kSampledRows);
  Sample sample;
  std::vector<uint16_t> rows;
  rows.reserve(size_t(count * k));
  for (int64_t i = 0; i < count; ++i) {
    const int64_t row = count == 1 ? 0 : i * (m - 1) / (count - 1);
    sample.rows.push_back(row);
    rows.insert(rows.end(), x.begin() + row * k, x.begin() + (row + 1) * k);
  }
  GPTQC_ASSIGN(sample.reference,
               reference->compute(*context, layers->matrix, layers->plain, rows, count));
  return sample;
}

/// Runs the kernel on every copy of the weights and compares the last result.
Status CudaBench::checkKernel(const LinearKernel &kernel, const Sample &sample, CuDevicePtr x,
                              int64_t m, DeviceBuffer &y, const DeviceBuffer &workspace,
                              BenchRow &row) const {
  const Descriptor &d = kernel.descriptor();
  const Stream &stream = context->stream();
  GPTQC_TRY(y.fill16(kPoison, stream));
  for (const DeviceLayer &layer : layers->copies)
    GPTQC_TRY(kernel.run(layer, x, rowStride(kernel), m, y.address(), d.outputColumns(), workspace,
                         stream));
  GPTQC_TRY(stream.synchronize().withContext(fmt::format("kernel `{}`", kernel.schedule())));
  GPTQC_ASSIGN(const std::vector<uint16_t> values, readRows(y, sample.rows, d.outputColumns()));
  const Comparison result = compareOutput(d, sample.reference, values.data(), d.outputColumns());
  row.relativeFrobenius = result.relativeFrobenius;
  if (!result.passed())
    return makeError(Code::Internal,
                     "wrong result, not timed: {} (repeat it with: gptqc verify --descriptor '{}' "
                     "--m {} --schedule '{}')",
                     result.explain(), d.print(), m, kernel.schedule());
  return {};
}

/// The dense yardstick for one point. It must be right too where it computes the same; split-K
/// algorithms may round partial sums to 16 bits, hence no limit on the norm.
Result<DenseRun> CudaBench::makeDense(const GraphTimer &timer, const Descriptor &d, int64_t m,
                                      CuDevicePtr x, const Sample &sample) const {
  GPTQC_ASSIGN(DenseRun run, DenseRun::create(*context, timer, *cublas, d, m, *layers->dense, x));
  if (d.bias || d.siluMul)
    return run;
  Descriptor plain = d;
  plain.out = d.act;
  GPTQC_ASSIGN(const std::vector<uint16_t> values, readRows(run.output(), sample.rows, d.n));
  const Comparison result = compareOutput(plain, sample.reference, values.data(), d.n);
  if (result.failures > 0)
    return makeError(Code::Internal, "cuBLASLt's result is wrong: {}", result.explain());
  return run;
}

Status CudaBench::measure(const LinearKernel &kernel, BenchRow &row) {
  const Descriptor &d = kernel.descriptor();
  const Device &device = context->device();
  const int64_t m = row.m, ldx = rowStride(kernel), columns = d.outputColumns();
  const GraphTimer timer(context->stream(), options.budgetMilliseconds);
  const std::vector<uint16_t> x =
      syntheticActivations(Inputs::Normal, m, d.k, d.act, options.seed, options.runner.threads);
  GPTQC_ASSIGN(const DeviceBuffer plainX, DeviceBuffer::upload(device, x));
  DeviceBuffer paddedX;
  if (ldx != d.k) {
    GPTQC_ASSIGN(paddedX, DeviceBuffer::upload(device, padRows(x, m, d.k, ldx)));
  }
  const CuDevicePtr kernelX = ldx == d.k ? plainX.address() : paddedX.address();
  GPTQC_ASSIGN(DeviceBuffer y, DeviceBuffer::allocate(device, m * columns * 2));
  GPTQC_ASSIGN(const DeviceBuffer workspace,
               DeviceBuffer::allocateZeroed(device, kernel.workspaceBytes(m)));
  GPTQC_ASSIGN(const Sample sample, takeSample(x, m));
  GPTQC_TRY(checkKernel(kernel, sample, kernelX, m, y, workspace, row));

  std::vector<Workload> workloads;
  Workload ours;
  ours.copies = int(layers->copies.size());
  ours.launch = [&](int copy) {
    return kernel.run(layers->copies[size_t(copy)], kernelX, ldx, m, y.address(), columns,
                      workspace, context->stream());
  };
  workloads.push_back(std::move(ours));
  GPTQC_ASSIGN(Workload read, floor->workload(*context, timer, problemBytes(d, m)));
  workloads.push_back(std::move(read));
  std::optional<DenseRun> dense;
  if (cublas) {
    Result<DenseRun> created = makeDense(timer, d, m, plainX.address(), sample);
    if (created) {
      dense.emplace(std::move(*created));
      workloads.push_back(dense->workload(*context));
    } else {
      row.note = created.status().message(); // our own time still counts
    }
  }
  GPTQC_ASSIGN(const std::vector<Timing> timings, timer.measure(workloads));
  row.time = timings[0];
  row.floor = timings[1];
  if (dense)
    row.dense = timings[2];
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
  for (size_t i = 0; i < rows.size(); ++i) {
    BenchRow &row = rows[i];
    row.error = kernels[i].status();
    if (row.error.ok()) {
      row.schedule = kernels[i]->schedule();
      row.error = prepareLayer(row.descriptor);
    }
    if (row.error.ok())
      row.error = measure(*kernels[i], row);
    if (const std::optional<MachineLimits> machine = limits())
      row.limit = limitMicroseconds(*machine, row.descriptor, row.m);
    if (const PeerTime *peer = peers.find(row.descriptor, row.m))
      row.peer = *peer;
    report(row);
  }
  return rows;
}

} // namespace gptqc::cli
