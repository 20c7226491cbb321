// Text generation: one sequence, token by token.
#ifndef GPTQC_RUNTIME_MODEL_GENERATE_H
#define GPTQC_RUNTIME_MODEL_GENERATE_H

#include <functional>
#include <memory>

#include "runtime/cpu/Random.h"
#include "runtime/model/Model.h"

namespace gptqc {

struct SamplingOptions {
  float temperature = 0; ///< 0: always the most likely token
  float topP = 1;        ///< sample from the fewest tokens that hold this much probability
  uint64_t seed = 0;
};

/// Chooses tokens; the same seed gives the same choices. One thread at a time.
class Sampler {
public:
  /// InvalidArgument for a negative temperature, or topP outside (0, 1].
  static Result<Sampler> create(const SamplingOptions &options);

  /// A token of `logits`, which are overwritten. Equal ones: the lowest id.
  int32_t choose(std::span<float> logits);

private:
  explicit Sampler(const SamplingOptions &options) : options(options), random(options.seed) {}

  SamplingOptions options;
  Random random;
};

struct GenerateOptions {
  int64_t maxTokens = 128; ///< new ones; fewer where the model has learned fewer positions
  bool stopAtEnd = true;   ///< at a token of ModelConfig::endTokens, which is not returned
  SamplingOptions sampling;
};

struct Generated {
  std::vector<int32_t> tokens; ///< new ones
  double promptSeconds = 0, tokenSeconds = 0;
};

/// A text on its way through a model, which remembers its keys and values. One thread at a time.
class Sequence {
public:
  virtual ~Sequence() = default;
  /// Appends tokens. In return the logits behind the last one, [vocabulary], valid until the next
  /// call, which the caller may overwrite. Errors as Model::embed.
  virtual Result<std::span<float>> append(std::span<const int32_t> tokens) = 0;
};

/// What a sequence will be asked for.
struct SequencePlan {
  int64_t capacity = 0;        ///< tokens in all, at most
  std::vector<int64_t> pieces; ///< numbers of tokens that are appended at a time
};
using SequenceFactory = std::function<Result<std::unique_ptr<Sequence>>(const SequencePlan &plan)>;

/// Quantized layers run through the CPU executor from their packed form. Borrows both.
SequenceFactory cpuSequences(const Model &model, const CpuContext &cpu);

/// Continues `prompt`. `onToken` sees each new token at once and may be empty; false from it ends
/// the generation. InvalidArgument for an empty prompt, ids outside the vocabulary, or a prompt of
/// more positions than the model has learned; DataCorrupt when the model computes what is not
/// finite.
Result<Generated> generate(const Model &model, std::span<const int32_t> prompt,
                           const GenerateOptions &options, const SequenceFactory &sequences,
                           const std::function<bool(int32_t token)> &onToken = nullptr);

} // namespace gptqc

#endif // GPTQC_RUNTIME_MODEL_GENERATE_H
