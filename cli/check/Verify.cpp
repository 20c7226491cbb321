// Verification loop: load, prepare, then run and compare every token count.
#include "cli/check/Verify.h"

#include <algorithm>

#include "runtime/cpu/Random.h"

namespace gptqc::cli {
namespace {

/// What is run for one layer.
struct Check {
  int64_t m = 0;
  Inputs inputs = Inputs::Normal;
};

/// `turn` says which kind of activations comes first.
std::vector<Check> checksFor(const Descriptor &descriptor, const VerifyOptions &options,
                             size_t turn) {
  std::vector<Check> checks;
  for (int64_t m : tokensFor(descriptor, options.tokens)) {
    if (options.allInputs) {
      for (Inputs inputs : kAllInputs)
        checks.push_back({m, inputs});
      continue;
    }
    Inputs inputs = options.inputs.value_or(kAllInputs[turn++ % std::size(kAllInputs)]);
    if (!options.inputs && inputs == Inputs::NonFinite && m == 1)
      inputs = Inputs::Normal; // the only row would be NaN and show nothing
    checks.push_back({m, inputs});
  }
  return checks;
}

Status runCheck(const QuantizedMatrix &matrix, Runner &runner, uint64_t seed, VerifyRow &row) {
  const Descriptor &d = matrix.descriptor;
  const std::vector<uint16_t> x =
      syntheticActivations(row.inputs, row.m, d.k, d.act, mixSeed(seed, uint64_t(row.m)));
  std::vector<uint16_t> y;
  row.kernel = runner.kernelName(row.m);
  GPTQC_ASSIGN(row.microseconds, runner.run(x, row.m, y));
  GPTQC_ASSIGN(const Reference reference, runner.reference(x, row.m));
  row.comparison = compareOutput(d, reference, y.data(), d.outputColumns());
  return {};
}

class Verification {
public:
  Verification(Runner &device, const VerifyOptions &settings,
               const std::function<void(const VerifyRow &)> &callback)
      : runner(device), options(settings), report(callback) {}

  void verify(const VerifyLayer &layer) {
    const std::vector<Check> checks = checksFor(layer.descriptor, options, layersSeen++);
    const Result<QuantizedMatrix> matrix = layer.load();
    if (!matrix)
      return add(layer, checks.front(), matrix.status());
    std::vector<int64_t> tokens;
    for (const Check &check : checks)
      tokens.push_back(check.m);
    if (const Status status = runner.prepare(*matrix, tokens); !status)
      return add(layer, checks.front(), status);
    for (const Check &check : checks) {
      VerifyRow row = newRow(layer, check);
      row.error = runCheck(*matrix, runner, options.seed, row);
      finish(std::move(row));
    }
  }

  std::vector<VerifyRow> rows;

private:
  VerifyRow newRow(const VerifyLayer &layer, const Check &check) const {
    VerifyRow row;
    row.layer = layer.name;
    row.descriptor = layer.descriptor.print();
    row.m = check.m;
    row.inputs = check.inputs;
    row.repro = fmt::format("gptqc verify {} --m {} --inputs {} --seed {}{}", layer.repro, check.m,
                            inputsName(check.inputs), options.seed, options.reproSuffix);
    return row;
  }

  void add(const VerifyLayer &layer, const Check &check, const Status &error) {
    VerifyRow row = newRow(layer, check);
    row.error = error;
    finish(std::move(row));
  }

  void finish(VerifyRow row) {
    rows.push_back(std::move(row));
    report(rows.back());
  }

  size_t layersSeen = 0;
  Runner &runner;
  const VerifyOptions &options;
  const std::function<void(const VerifyRow &)> &report;
};

} // namespace

std::vector<VerifyLayer> syntheticLayers(const std::vector<Descriptor> &descriptors,
                                         uint64_t seed) {
  std::vector<VerifyLayer> layers;
  for (const Descriptor &descriptor : descriptors)
    layers.push_back({"synthetic", descriptor,
                      [descriptor, seed] { return syntheticLayer(descriptor, seed); },
                      fmt::format("--descriptor '{}'", descriptor.print())});
  return layers;
}

std::vector<int64_t> tokensFor(const Descriptor &descriptor, const std::vector<int64_t> &tokens) {
  std::vector<int64_t> inside;
  for (int64_t m : tokens)
    if (m >= descriptor.m.lo && m <= descriptor.m.hi)
      inside.push_back(m);
  if (!inside.empty())
    return inside;
  inside.push_back(descriptor.m.lo);
  if (descriptor.m.hi != descriptor.m.lo && descriptor.m.hi != kUnboundedM)
    inside.push_back(descriptor.m.hi);
  return inside;
}

std::vector<VerifyRow> verifyLayers(const std::vector<VerifyLayer> &layers, Runner &runner,
                                    const VerifyOptions &options,
                                    const std::function<void(const VerifyRow &)> &report) {
  std::vector<Descriptor> kernels;
  for (const VerifyLayer &layer : layers)
    for (int64_t m : tokensFor(layer.descriptor, options.tokens))
      addKernel(layer.descriptor, m, kernels);
  runner.expect(kernels);
  Verification verification(runner, options, report);
  for (const VerifyLayer &layer : layers)
    verification.verify(layer);
  return std::move(verification.rows);
}

Status verifyVerdict(const std::vector<VerifyRow> &rows) {
  const auto failed = [](const VerifyRow &row) { return !row.passed(); };
  const auto first = std::find_if(rows.begin(), rows.end(), failed);
  if (first == rows.end())
    return {};
  const int64_t count = std::count_if(rows.begin(), rows.end(), failed);
  return makeError(
      first->error.ok() ? Code::Internal : first->error.code(),
      "verify: {} of {} checks failed; first: layer {}, m = {}, {}: {}; repeat it with: {}", count,
      rows.size(), first->layer, first->m, inputsName(first->inputs), first->explain(),
      first->repro);
}

} // namespace gptqc::cli
