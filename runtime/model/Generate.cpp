// The prompt in pieces, then one token at a time, with a cache of keys and values.
#include "runtime/model/Generate.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "runtime/model/BlockSource.h"
#include "runtime/model/Softmax.h"

namespace gptqc {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kPromptPiece = 512; ///< tokens of the prompt that are in work at a time

double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class CpuSequence : public Sequence {
public:
  CpuSequence(const Model &model, const CpuContext &cpu, OutputHead head, int64_t capacity)
      : model(model), cpu(cpu), head(std::move(head)),
        blocks(model, cpu.threads, WeightForm::Packed), cache(model.config(), capacity) {}

  Result<std::span<float>> append(std::span<const int32_t> tokens) override {
    const BatchShape shape = {int64_t(tokens.size()), cache.length()};
    GPTQC_ASSIGN(Matrix x, model.embed(tokens, shape));
    for (int64_t i = 0; i < model.config().blocks; ++i) {
      GPTQC_ASSIGN(const Block *block, blocks.get(i));
      GPTQC_TRY(runBlock(cpu, model.config(), *block, shape, x.ref(), nullptr, &cache));
    }
    cache.advance(shape.length);
    logits = head.logits(cpu, model.config(), x.ref().block(x.rows - 1, 0, 1, x.columns));
    return std::span<float>(logits.values);
  }

private:
  const Model &model;
  const CpuContext &cpu;
  OutputHead head;
  BlockSource blocks;
  KvCache cache;
  Matrix logits;
};

/// Numbers of tokens that a prompt, and then its continuation, are appended in.
std::vector<int64_t> piecesOf(int64_t prompt) {
  std::vector<int64_t> pieces;
  for (const int64_t piece : {std::min(prompt, kPromptPiece), prompt % kPromptPiece, int64_t(1)})
    if (piece > 0)
      pieces.push_back(piece);
  return pieces;
}

Status checkLogits(std::span<const float> logits, int64_t tokens) {
  if (std::all_of(logits.begin(), logits.end(), [](float logit) { return std::isfinite(logit); }))
    return Status();
  return dataCorrupt("the model's output behind {} tokens is not finite; its weights are damaged, "
                     "or exceed the range of their type",
                     tokens);
}

} // namespace

Result<Sampler> Sampler::create(const SamplingOptions &options) {
  if (!(options.temperature >= 0) || !std::isfinite(options.temperature))
    return invalidArgument("temperature {}: use 0 (greedy) or more", options.temperature);
  if (!(options.topP > 0) || options.topP > 1)
    return invalidArgument("top-p {}: use a share above 0 and up to 1", options.topP);
  return Sampler(options);
}

int32_t Sampler::choose(std::span<float> logits) {
  const int64_t count = int64_t(logits.size());
  if (options.temperature == 0)
    return int32_t(std::max_element(logits.begin(), logits.end()) - logits.begin());
  const float largest = largestOf(logits.data(), count);
  for (float &logit : logits) // differences first: a tiny temperature would overflow the logits
    logit = logit == largest ? 0 : (logit - largest) / options.temperature;
  const double sum = exponentiate(logits.data(), count, 0);
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return logits[size_t(a)] > logits[size_t(b)]; });
  double kept = 0;
  size_t candidates = 0;
  while (candidates < order.size() && kept < double(options.topP) * sum)
    kept += logits[size_t(order[candidates++])];
  double rest = double(random.uniform()) * kept;
  for (size_t i = 0; i + 1 < candidates; ++i) {
    rest -= logits[size_t(order[i])];
    if (rest < 0)
      return order[i];
  }
  return order[candidates - 1];
}

SequenceFactory cpuSequences(const Model &model, const CpuContext &cpu) {
  return [&](const SequencePlan &plan) -> Result<std::unique_ptr<Sequence>> {
    GPTQC_ASSIGN(OutputHead head, model.loadHead());
    return std::unique_ptr<Sequence>(
        std::make_unique<CpuSequence>(model, cpu, std::move(head), plan.capacity));
  };
}

Result<Generated> generate(const Model &model, std::span<const int32_t> prompt,
                           const GenerateOptions &options, const SequenceFactory &sequences,
                           const std::function<bool(int32_t token)> &onToken) {
  if (prompt.empty())
    return invalidArgument("the prompt holds no tokens; give at least one");
  GPTQC_ASSIGN(Sampler sampler, Sampler::create(options.sampling));
  const auto length = int64_t(prompt.size());
  GPTQC_TRY(
      model.embed(prompt, {length}).status()); // what is wrong with it, before the weights load
  int64_t most = options.maxTokens;            // the last one needs no position
  if (!model.config().rope)
    most = std::min(most, model.config().positions - length + 1);
  GPTQC_ASSIGN(const std::unique_ptr<Sequence> sequence,
               sequences({length + std::max<int64_t>(most, 0), piecesOf(length)}));
  Clock::time_point start = Clock::now();
  std::span<float> logits;
  int64_t appended = 0;
  const auto append = [&](std::span<const int32_t> tokens) -> Status {
    GPTQC_ASSIGN(logits, sequence->append(tokens));
    appended += int64_t(tokens.size());
    return checkLogits(logits, appended);
  };
  while (appended < length)
    GPTQC_TRY(append(
        prompt.subspan(size_t(appended), size_t(std::min(kPromptPiece, length - appended)))));
  Generated result;
  result.promptSeconds = secondsSince(start);
  start = Clock::now();
  const std::vector<int32_t> &ends = model.config().endTokens;
  while (int64_t(result.tokens.size()) < most) {
    const int32_t token = sampler.choose(logits);
    if (options.stopAtEnd && std::find(ends.begin(), ends.end(), token) != ends.end())
      break;
    result.tokens.push_back(token);
    if (onToken && !onToken(token))
      break;
    if (int64_t(result.tokens.size()) == most)
      break;
    GPTQC_TRY(append({&token, 1}));
  }
  result.tokenSeconds = secondsSince(start);
  return result;
}

} // namespace gptqc
