// Perplexity of a model on rows of tokens.
#ifndef GPTQC_RUNTIME_MODEL_PERPLEXITY_H
#define GPTQC_RUNTIME_MODEL_PERPLEXITY_H

#include <functional>
#include <span>

#include "runtime/model/Model.h"
#include "runtime/model/TokenFile.h"

namespace gptqc {

struct Perplexity {
  double value = 0;        ///< exp of the mean negative log-likelihood
  int64_t predictions = 0; ///< rows * (length - 1)
};

/// Called with blocks done and in all.
using BlockProgress = std::function<void(int64_t done, int64_t total)>;

/// Each row by itself from position 0, every token but the first predicted from those before it.
/// Rows go through the model block by block, as many at a time as `activationBytes` hold; the
/// weights are read again for each such part where they do not fit into memory. InvalidArgument
/// for rows of one token, or ids outside the vocabulary.
Result<Perplexity> perplexityOf(const Model &model, const TokenRows &rows, const CpuContext &cpu,
                                const BlockProgress &progress = nullptr,
                                int64_t activationBytes = int64_t(1) << 30);

/// The sum of the negative log-likelihoods of some rows' predictions; says how many blocks the rows
/// have been through.
using PartLoss = std::function<Result<double>(std::span<const int32_t> ids,
                                              const std::function<void(int64_t blocks)> &done)>;

/// What the ways to a perplexity share: rows in parts, whose activations are fp32, and the mean.
/// DataCorrupt when it is not finite.
Result<Perplexity> perplexityByParts(const ModelConfig &config, const TokenRows &rows,
                                     const BlockProgress &progress, int64_t activationBytes,
                                     const PartLoss &lossOf);

} // namespace gptqc

#endif // GPTQC_RUNTIME_MODEL_PERPLEXITY_H
