// The chain: layers with copies of their weights, then a graph of blocks for each token count.
#include "cli/bench/ChainBench.h"

#include <algorithm>

namespace gptqc::cli {
namespace {

/// A layer, for all token counts.
struct ChainedLayer {
  BenchLayer layer;
  std::optional<DenseWeights> dense;
  ReadFloor floor;
};
/// In memory that stays where it is: runs borrow them.
using ChainedLayers = std::vector<std::unique_ptr<ChainedLayer>>;

Result<ChainedLayers> makeLayers(const CudaBench &bench, const std::vector<Descriptor> &chain) {
  const BenchOptions &options = bench.settings();
  const CudaContext &context = bench.cuda();
  ChainedLayers layers;
  for (const Descriptor &descriptor : chain) {
    if (descriptor.grouped())
      return makeError(Code::Unsupported, "`{}`: a chain has plain layers only; use --descriptor",
                       descriptor.print());
    GPTQC_ASSIGN(BenchLayer layer,
                 BenchLayer::create(context, descriptor, options.seed, options.runner.threads));
    std::optional<DenseWeights> dense;
    if (options.dense) {
      GPTQC_ASSIGN(DenseWeights weights,
                   DenseWeights::create(context, layer.matrix().descriptor, layer.plain()));
      dense.emplace(std::move(weights));
    }
    GPTQC_ASSIGN(ReadFloor floor, ReadFloor::create(context));
    layers.push_back(std::make_unique<ChainedLayer>(
        ChainedLayer{std::move(layer), std::move(dense), std::move(floor)}));
  }
  return layers;
}

/// A layer at one token count.
struct Link {
  std::unique_ptr<BenchPoint> point;
  std::unique_ptr<PointKernel> kernel;
  CuDevicePtr x = 0; ///< the output of the link in front; 0: activations of its own
  int64_t ldx = 0;

  Status launch(int copy, bool overlaps) const {
    return x ? kernel->run(copy, x, ldx, overlaps) : kernel->run(copy, overlaps);
  }
};

/// Whether a layer can read its X out of the output of the one in front.
bool continues(const LinearKernel &front, const LinearKernel &next) {
  const Descriptor &from = front.descriptor(), &to = next.descriptor();
  return from.out == to.act && from.outputColumns() >= to.k &&
         from.outputColumns() * 2 % next.launch().xVector == 0;
}

class ChainRun {
public:
  ChainRun(const CudaBench &bench, const ChainedLayers &layers, ChainRow &row)
      : bench(bench), layers(layers), row(row),
        timer(bench.cuda().stream(), bench.settings().budgetMilliseconds) {}

  Status run(const std::vector<Result<LinearKernel>> &kernels) {
    GPTQC_TRY(makeLinks(kernels));
    const Status dense = bench.settings().dense ? makeDense() : Status();
    if (!dense.ok()) {
      denseRuns.clear();
      row.note = dense.message(); // our own times still count
    }
    return measure();
  }

private:
  const CudaBench &bench;
  const ChainedLayers &layers;
  ChainRow &row;
  GraphTimer timer;
  std::vector<Link> links;
  std::vector<std::unique_ptr<DenseRun>> denseRuns;

  Status makeLinks(const std::vector<Result<LinearKernel>> &kernels) {
    const BenchOptions &options = bench.settings();
    for (size_t i = 0; i < layers.size(); ++i) {
      GPTQC_TRY(kernels[i].status());
      row.layers[i].schedule = kernels[i]->schedule();
      Link link;
      GPTQC_ASSIGN(BenchPoint point,
                   BenchPoint::create(bench.cuda(), bench.checker(), layers[i]->layer, row.m,
                                      options.seed, options.runner.threads));
      link.point = std::make_unique<BenchPoint>(std::move(point));
      GPTQC_ASSIGN(PointKernel kernel, PointKernel::create(*link.point, *kernels[i]));
      link.kernel = std::make_unique<PointKernel>(std::move(kernel));
      GPTQC_TRY(link.kernel->check().status());
      if (i > 0 && continues(*kernels[i - 1], *kernels[i])) {
        link.x = links.back().kernel->output().address();
        link.ldx = kernels[i - 1]->descriptor().outputColumns();
      }
      links.push_back(std::move(link));
    }
    return {};
  }

  Status makeDense() {
    for (size_t i = 0; i < layers.size(); ++i) {
      GPTQC_ASSIGN(DenseRun dense, bench.makeDense(timer, row.layers[i].descriptor, *links[i].point,
                                                   *layers[i]->dense));
      denseRuns.push_back(std::make_unique<DenseRun>(std::move(dense)));
    }
    return {};
  }

  /// So many that the weights exceed the cache, and two at least.
  int blocksOf(int64_t bytes) const {
    return std::max(2, rotationCopies(bytes, bench.cuda().device().info().l2Bytes));
  }

  /// One launch is all layers.
  Workload ours(bool overlaps) const {
    int64_t bytes = 0;
    for (const auto &layer : layers)
      bytes += layer->layer.copies().front().bytes();
    Workload work;
    work.copies = blocksOf(bytes);
    work.launch = [this, overlaps](int copy) -> Status {
      for (size_t i = 0; i < links.size(); ++i)
        GPTQC_TRY(links[i].launch(copy % int(layers[i]->layer.copies().size()), overlaps));
      return {};
    };
    return work;
  }

  /// The outputs of all layers behind two blocks, into poisoned memory.
  Result<std::vector<std::vector<uint16_t>>> outputs(bool overlaps) const {
    const Stream &stream = bench.cuda().stream();
    for (const Link &link : links)
      GPTQC_TRY(link.kernel->poison());
    const Workload work = ours(overlaps);
    for (int block = 0; block < 2; ++block)
      GPTQC_TRY(work.launch(block));
    GPTQC_TRY(stream.synchronize().withContext("the chain"));
    std::vector<std::vector<uint16_t>> values;
    for (const Link &link : links) {
      GPTQC_ASSIGN(std::vector<uint16_t> one, link.kernel->output().download<uint16_t>());
      values.push_back(std::move(one));
    }
    return values;
  }

  /// Overlap changes no bit, or a kernel touches what it has not waited for.
  Status checkOverlap() const {
    GPTQC_ASSIGN(const auto expected, outputs(false));
    GPTQC_ASSIGN(const auto found, outputs(true));
    for (size_t i = 0; i < links.size(); ++i)
      if (found[i] != expected[i])
        return makeError(Code::Internal,
                         "wrong result of `{}` (`{}`) with programmatic launch, not timed",
                         row.layers[i].descriptor.print(), row.layers[i].schedule);
    return {};
  }

  Workload denseChain() const {
    std::vector<Workload> parts;
    for (const auto &dense : denseRuns)
      parts.push_back(dense->workload(bench.cuda()));
    Workload work;
    for (const Workload &part : parts)
      work.copies = std::max(work.copies, part.copies);
    work.launch = [parts](int copy) -> Status {
      for (const Workload &part : parts)
        GPTQC_TRY(part.launch(copy % part.copies));
      return {};
    };
    return work;
  }

  Status measure() {
    const bool canOverlap = bench.cuda().device().target().hasProgrammaticLaunch();
    if (canOverlap)
      GPTQC_TRY(checkOverlap());
    std::vector<Workload> workloads = {ours(false), ours(canOverlap)};
    row.blocks = workloads.front().copies;
    for (size_t i = 0; i < layers.size(); ++i) {
      workloads.push_back(links[i].kernel->workload());
      GPTQC_ASSIGN(Workload floor,
                   layers[i]->floor.workload(bench.cuda(), timer,
                                             problemBytes(row.layers[i].descriptor, row.m)));
      workloads.push_back(std::move(floor));
    }
    if (!denseRuns.empty())
      workloads.push_back(denseChain());
    GPTQC_ASSIGN(const std::vector<Timing> timings, timer.measure(workloads));
    row.time = timings[0];
    if (canOverlap)
      row.overlapped = timings[1];
    for (size_t i = 0; i < layers.size(); ++i) {
      row.layers[i].time = timings[2 + 2 * i];
      row.layers[i].floor = timings[3 + 2 * i];
    }
    if (!denseRuns.empty())
      row.dense = timings.back();
    return {};
  }
};

std::vector<ChainRow> plannedRows(const std::vector<Descriptor> &chain,
                                  std::vector<int64_t> tokens) {
  if (tokens.empty())
    tokens = {1, 16};
  std::vector<ChainRow> rows;
  for (int64_t m : tokens) {
    ChainRow row;
    row.m = m;
    for (const Descriptor &descriptor : chain) {
      ChainLayer layer;
      layer.descriptor = descriptor;
      if (benchTokens(descriptor, {m}).empty())
        row.error = invalidArgument("it is not in the range of `{}`; choose another --m",
                                    descriptor.print());
      else
        layer.descriptor.m = kernelRange(descriptor, m);
      row.layers.push_back(layer);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

} // namespace

std::vector<ChainRow> benchChain(const CudaBench &bench, const std::vector<Descriptor> &chain,
                                 const std::function<void(const ChainRow &)> &report) {
  std::vector<ChainRow> rows = plannedRows(chain, bench.settings().tokens);
  std::vector<std::vector<Result<LinearKernel>>> kernels(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    std::vector<Descriptor> wanted;
    for (const ChainLayer &layer : rows[i].layers)
      wanted.push_back(layer.descriptor);
    if (rows[i].error.ok())
      kernels[i] = bench.cuda().kernels(wanted);
  }
  const Result<ChainedLayers> layers = makeLayers(bench, chain);
  for (size_t i = 0; i < rows.size(); ++i) {
    ChainRow &row = rows[i];
    if (row.error.ok())
      row.error = layers.status();
    if (row.error.ok())
      row.error = ChainRun(bench, *layers, row).run(kernels[i]);
    report(row);
  }
  return rows;
}

} // namespace gptqc::cli
